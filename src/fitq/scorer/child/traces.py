"""What `fit` saw, as far as it left traces in the estimator."""

import contextlib
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .estimators import KEPT_ROWS, encoder_of, parts, steps
from .loading import Loaded
from .schema import categories, positions_in

#: Rows that an estimator kept.
MAX_KEPT = 16
#: Values of one column to draw from.
MAX_VALUES = 64
#: Categories of one column that are told. A model with more is asked itself.
MAX_CATEGORIES = 1000


#: What a step tells of a column of the schema: {"low", "high"} or {"values"}, with "whole" if these are all.
Trace = Tuple[int, Dict[str, Any]]


def seen_by_fit(traces: List[Trace], width: int) -> List[Dict[str, Any]]:
    """Per column {"low", "high"} of numbers or {"values"}: from where rows may be drawn; {} where unknown."""
    seen: List[Dict[str, Any]] = [{} for _ in range(width)]
    for column, told in traces:
        if not seen[column]:
            every = max(1, len(told.get("values", [])) // MAX_VALUES)
            seen[column] = {"values": told["values"][::every][:MAX_VALUES]} if "values" in told else told
    return seen


def known_categories(traces: List[Trace]) -> Dict[int, List[Any]]:
    """Column → the values that it had in `fit`, where all that look at it agree and they are not too many."""
    found: Dict[int, List[Any]] = {}
    for column, told in traces:
        if told.get("whole"):
            values = told["values"]
            found[column] = values if found.get(column, values) == values else []
    return {i: values for i, values in found.items() if 0 < len(values) <= MAX_CATEGORIES}


def traces_of(loaded: Loaded, columns: List[Dict[str, Any]]) -> List[Trace]:
    """All that its steps tell. Of a large forest that takes a while: every split is looked at."""
    found: List[Trace] = []
    names = loaded.names or [""] * len(columns)
    where = {n: i for i, n in enumerate(c["name"] for c in columns) if n}
    with contextlib.suppress(Exception):  # an estimator that is built otherwise tells nothing
        for position, told in _traces(loaded.model, list(range(len(names))), names):
            column = where.get(names[position], -1) if names[position] else position
            if 0 <= column < len(columns):
                found.append((column, told))
    return found


def kept_rows(loaded: Loaded, columns: List[Dict[str, Any]]) -> List[List[float]]:
    """Some of the rows that the estimator itself remembers, if it meets the given rows first."""
    if {c["kind"] for c in columns} != {"number"}:
        return []
    for name in KEPT_ROWS:
        kept: Any = getattr(steps(loaded.model)[0], name, None)
        if len(getattr(kept, "shape", ())) == 2 and kept.shape[1] == len(columns) and hasattr(kept, "tolist"):
            return kept[:: max(1, len(kept) // MAX_KEPT)][:MAX_KEPT].astype(float).tolist()  # type: ignore
    return []


def _traces(model: Any, positions: List[int], names: List[str]) -> Iterator[Tuple[int, Dict[str, Any]]]:
    """What each step tells of the columns at these positions, as long as they are still the given ones."""
    filled_in: List[Tuple[int, Dict[str, Any]]] = []  #: by imputers: one value each, better than none
    for step in steps(model):
        if step is not model and steps(step) != [step]:
            for found in _traces(step, positions, names):
                yield found
            return
        if hasattr(step, "transformers_"):
            for _, inner, selected in step.transformers_:
                if not isinstance(inner, str):
                    for found in _traces(inner, positions_in(selected, names), names):
                        yield found
            return
        if hasattr(step, "transformer_list"):
            for _, inner in step.transformer_list:
                for found in _traces(inner, positions, names):
                    yield found
            return
        if hasattr(step, "vocabulary_"):
            yield positions[0], {"values": sorted(step.vocabulary_)}
            return
        if encoder_of(step) is not None:
            for found in _traces(encoder_of(step), positions, names):
                yield found
            # its trees know the columns in the order in which they leave the encoder
            positions = [
                p for _, _, where in encoder_of(step).transformers_ for p in positions_in(where, names)
            ]
        for position, _, values in categories(step, positions):
            yield position, {"values": values, "whole": True}
        for position, ends in zip(positions, _ranges(step, len(positions))):
            if ends is not None:
                yield position, {"low": ends[0], "high": ends[1]}
        if not type(step).__name__.endswith("Imputer"):
            break  # what comes next sees other values
        for position, value in zip(positions, getattr(step, "statistics_", [])):
            if isinstance(value, float):  # numpy's is one
                filled_in.append((position, {"low": float(value) - 1, "high": float(value) + 1}))
    for found in filled_in:
        yield found


def _ranges(step: Any, count: int) -> List[Optional[Tuple[float, float]]]:
    """(low, high) per column, from the first kind of trace that the estimator has."""
    import numpy as np

    def of(name: str) -> Any:
        found = np.asarray(getattr(step, name), dtype=float)
        if found.shape[-1:] != (count,):
            raise ValueError(name)
        return found

    def around(middle: Any, spread: Any) -> Tuple[Any, Any]:
        return middle - 2 * spread, middle + 2 * spread

    def rows(name: str) -> Tuple[Any, Any]:
        return of(name).min(axis=0), of(name).max(axis=0)

    variance = "var_" if hasattr(step, "var_") else "sigma_"  # its name until scikit-learn 0.24
    ways = (
        lambda: (of("data_min_"), of("data_max_")),  # MinMaxScaler
        lambda: around(of("mean_"), of("scale_")),  # StandardScaler
        lambda: around(of("center_"), of("scale_")),  # RobustScaler
        lambda: (-of("max_abs_"), of("max_abs_")),
        lambda: rows("quantiles_"),
        lambda: tuple(zip(*((e[0], e[-1]) for e in step.bin_edges_))),  # KBinsDiscretizer
        lambda: rows(next(n for n in KEPT_ROWS if hasattr(step, n))),
        lambda: (
            (of("theta_") - 2 * of(variance) ** 0.5).min(axis=0),  # GaussianNB
            (of("theta_") + 2 * of(variance) ** 0.5).max(axis=0),
        ),
        lambda: around(of("mean_"), np.sqrt(step.explained_variance_.dot(of("components_") ** 2))),  # PCA
        lambda: rows("means_"),
        lambda: around(of("xbar_"), 1.0),
        lambda: tuple(zip(*_split_at(step, count))),
    )
    for way in ways:
        try:
            low, high = way()
            pairs = [(float(a), float(b)) for a, b in zip(low, high)]
        except Exception:  # not that kind of estimator
            continue
        if len(pairs) == count:
            return [p if np.isfinite(p).all() else None for p in pairs]
    return [None] * count


def _split_at(model: Any, count: int) -> List[Tuple[float, float]]:
    """Where trees split each column, and a little beyond."""
    ends: Dict[int, List[float]] = {}
    bins = getattr(getattr(model, "_bin_mapper", None), "bin_thresholds_", None)
    for feature, edges in enumerate(bins if bins is not None else []):
        ends[feature] = [float(edges[0]), float(edges[-1])] if len(edges) else [0.0, 1.0]
    inner = getattr(model, "estimators_", model)  # of gradient boosting it is an array
    found = parts(list(inner.ravel()) if hasattr(inner, "ravel") else inner)
    trees = (p.tree_ for p in found if hasattr(p, "tree_") and p.tree_.n_features == count)
    for tree, _ in zip(trees, range(100)):
        for feature, threshold in zip(tree.feature.tolist(), tree.threshold.tolist()):
            if feature >= 0:
                low, high = ends.get(feature, [threshold, threshold])
                ends[feature] = [min(low, threshold), max(high, threshold)]
    if not ends:
        raise ValueError("no trees")
    beyond = {f: max(0.25 * (high - low), 0.1 * abs(low), 1e-3) for f, (low, high) in ends.items()}
    return [(ends[f][0] - beyond[f], ends[f][1] + beyond[f]) if f in ends else (0.0, 1.0)
            for f in range(count)]  # fmt: skip
