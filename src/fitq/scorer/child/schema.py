"""The input of a model: as the fitted estimator tells it, or as sample rows show it."""

from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from .estimators import feature_count, first_step, steps, takes_texts
from .loading import Loaded
from .predicting import plain


class Unfit(Exception):
    """Sample input that does not fit the model."""


#: Rows of a sample that are handed back.
MAX_GIVEN = 32


def example_rows(schema: Dict[str, Any]) -> Iterator[List[Any]]:
    """Rows to try: zeros, then ones; the first category where a column has some."""
    if schema["layout"] == "texts":
        yield ["an example text"]
        return
    known = schema.pop("known")
    for number in (0.0, 1.0, 0.5):
        filler = {"number": number, "integer": int(number), "boolean": False, "string": "text"}
        yield [[known.get(i, filler[c["kind"]]) for i, c in enumerate(schema["columns"])]]


def schema_of_model(loaded: Loaded) -> Optional[Dict[str, Any]]:
    """The input as the fitted estimator tells it, or None when it does not."""
    if takes_texts(loaded.model):
        return {"layout": "texts", "columns": [_new_column("string")], "source": "model", "example": []}
    width = len(loaded.names) or feature_count(loaded.model)
    if not width:
        return None
    names = loaded.names or [""] * width
    columns = [_new_column("number", name) for name in names]
    known: Dict[int, Any] = {}
    unused: Set[int] = set()
    for position, kind, values in categorical_columns(first_step(loaded.model), names):
        columns[position]["kind"] = kind
        if kind == "unused":
            unused.add(position)
        elif values:
            known[position] = values[0]
    # columns that a ColumnTransformer drops need not be sent, where it goes by name
    kept = [i for i in range(width) if i not in unused]
    for i in unused:
        columns[i]["kind"] = "number"
    if loaded.names and kept:
        columns = [columns[i] for i in kept]
        known = {kept.index(i): v for i, v in known.items()}
    return {"layout": "rows", "columns": columns, "source": "model", "example": [], "known": known}


def _new_column(kind: str, name: str = "") -> Dict[str, Any]:
    return {"kind": kind, "name": name, "nullable": False, "categories": [], "refuses_others": False}


def categorical_columns(transformer: Any, names: List[str]) -> Iterator[Tuple[int, str, List[Any]]]:
    """(position, kind, known values) of each column that is not a plain number."""
    if not hasattr(transformer, "transformers_"):
        for found in categories(transformer, list(range(len(names)))):
            yield found
        return
    taken: Set[int] = set()
    for _, inner, where in transformer.transformers_:
        positions = positions_in(where, names)
        if isinstance(inner, str) and inner == "drop":
            for position in positions:
                if position not in taken:
                    yield position, "unused", []
            continue
        taken.update(positions)
        if isinstance(where, str) and takes_texts(inner):
            yield positions[0], "string", ["an example text"]
        elif not isinstance(inner, str):
            for found in categories(inner, positions):
                yield found


def categories(transformer: Any, positions: List[int]) -> Iterator[Tuple[int, str, List[Any]]]:
    for step in steps(transformer):
        categories = getattr(step, "categories_", None)
        if categories is None or len(categories) != len(positions):
            continue
        for position, values in zip(positions, categories):
            present = [v for v in plain(values) if v is not None]
            yield position, kind_of(present) or "number", present


def positions_in(where: Any, names: List[str]) -> List[int]:
    """Column numbers of a ColumnTransformer's selection, however it was written."""
    if isinstance(where, slice):
        ends = [names.index(e) if isinstance(e, str) else e for e in (where.start, where.stop)]
        # a slice of names includes its end
        stop = ends[1] + 1 if isinstance(where.stop, str) else ends[1]
        return list(range(len(names)))[slice(ends[0], stop, where.step)]
    chosen = [where] if isinstance(where, (str, int)) else list(where)
    if chosen and all(isinstance(c, bool) or type(c).__name__ in ("bool", "bool_") for c in chosen):
        return [i for i, c in enumerate(chosen) if c]
    count = len(names)
    return [names.index(c) if isinstance(c, str) else int(c) % count for c in chosen]


def schema_of_sample(loaded: Loaded, sample: List[Any]) -> Dict[str, Any]:
    """The input as a person's sample rows show it."""
    if not isinstance(sample, list):
        raise Unfit("sample_input must be a list of rows, records or texts.")
    if all(isinstance(row, str) for row in sample):
        return {"layout": "texts", "columns": [_new_column("string")], "source": "sample_input",
                "example": sample[:3], "given": sample[:MAX_GIVEN]}  # fmt: skip
    by_name = isinstance(sample[0], dict)
    names = loaded.names
    if by_name:
        given = sorted(sample[0])
        if not names or not set(given) <= set(names):
            if names or feature_count(loaded.model) not in (0, len(given)):
                expected = names or "%d columns" % feature_count(loaded.model)
                raise Unfit("sample_input has the columns %s; the model expects %s." % (given, expected))
            names = list(sample[0])
        names = [n for n in names if n in sample[0]]
        if any(not isinstance(row, dict) or set(row) != set(names) for row in sample):
            raise Unfit("The records of sample_input do not all have the same columns.")
        sample = [[row[n] for n in names] for row in sample]
    width = len(sample[0]) if isinstance(sample[0], list) else 0
    if not width or any(not isinstance(row, list) or len(row) != width for row in sample):
        raise Unfit("sample_input must be a list of rows of equal length, of records, or of texts.")
    columns = []
    for i, values in enumerate(zip(*sample)):
        column = _new_column(
            kind_of([v for v in values if v is not None]), names[i] if len(names) == width else ""
        )
        if not column["kind"]:
            raise Unfit("Column %d of sample_input mixes text with numbers, or holds neither." % i)
        column["nullable"] = None in values
        columns.append(column)
    kinds = {c["kind"] for c in columns}
    if not by_name and kinds == {"number", "integer"}:
        for column in columns:
            column["kind"] = "number"  # one list of numbers is one array, as numpy would make it
    return {"layout": "rows", "columns": columns, "source": "sample_input", "example": sample[:3],
            "given": sample[:MAX_GIVEN]}  # fmt: skip


def kind_of(values: List[Any]) -> str:
    """The kind of a column that holds these; "" if they are a mixture, or something else."""
    if not values:
        return "number"
    if all(isinstance(v, bool) for v in values):
        return "boolean"
    if all(isinstance(v, str) for v in values):
        return "string"
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        return ""
    return "integer" if all(isinstance(v, int) for v in values) else "number"
