"""Looking into fitted estimators, whatever they are."""

import inspect
from typing import Any, Iterator, List, Optional, Set

#: No method of an estimator, but asked for like one: [mean, std] per row of `predict(rows, return_std=True)`.
WITH_STD = "predict_with_std"
#: Where estimators keep rows that `fit` saw, or rows among them.
KEPT_ROWS = ("_fit_X", "support_vectors_", "X_train_", "cluster_centers_")


def parts(model: Any, _seen: Optional[Set[int]] = None) -> Iterator[Any]:
    """A fitted estimator and every estimator inside it."""
    seen = set() if _seen is None else _seen
    if id(model) in seen or len(seen) > 100000:
        return
    seen.add(id(model))
    if isinstance(model, (list, tuple)):
        inner = list(model)
    elif isinstance(model, dict):
        inner = list(model.values())
    elif hasattr(model, "get_params") and hasattr(model, "__dict__"):
        yield model
        inner = list(vars(model).values())
    else:
        return
    for value in inner:
        for found in parts(value, seen):
            yield found


def steps(model: Any) -> List[Any]:
    """A pipeline's steps, also of one that a search found; else the model alone."""
    model = getattr(model, "best_estimator_", model)
    found = [s for _, s in getattr(model, "steps", [])]
    return [s for s in found if s not in (None, "passthrough")] or [model]


def tells_std(model: Any) -> bool:
    """Whether `predict` also tells how sure it is; a pipeline's is that of its last step."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if last is not model:
        return tells_std(last)
    try:
        return "return_std" in inspect.signature(model.predict).parameters
    except Exception:  # no predict, or a property that raises anything
        return False


def first_step(model: Any) -> Any:
    """The estimator that the rows meet first."""
    first = steps(model)[0]
    if first is not model:
        return first_step(first)
    union = getattr(first, "transformer_list", None)
    return first_step(union[0][1]) if union else encoder_of(first) or first


def encoder_of(model: Any) -> Any:
    """The ColumnTransformer inside gradient boosting that encodes categories itself; None elsewhere."""
    return getattr(model, "_preprocessor", None)


def takes_texts(estimator: Any) -> bool:
    return hasattr(first_step(estimator), "build_analyzer")


def feature_names(model: Any) -> List[str]:
    """The column names it was fitted with; empty if on an array."""
    for owner in (model, first_step(model)):
        try:
            names = getattr(owner, "feature_names_in_", None)
        except Exception:  # a property of a pipeline may raise anything
            names = None
        if names is not None:
            return [str(n) for n in names]
    return []


def feature_count(model: Any) -> int:
    """How many columns it was fitted with; 0 if it does not tell."""
    for owner in (model, first_step(model)):
        for name in ("n_features_in_", "n_features_"):
            try:
                return int(getattr(owner, name))
            except Exception:  # not there, or not a number
                continue
    for name in ("coef_", "cluster_centers_", "components_", "means_", "theta_", "scale_", "mean_"):
        shape = getattr(getattr(first_step(model), name, None), "shape", ())
        if shape:
            return int(shape[-1])
    return 0


def is_forest(estimator: Any) -> bool:
    return any(c.__name__ == "BaseForest" for c in type(estimator).__mro__)


def goes_by_name(estimator: Any) -> bool:
    """Whether it may look at column names, so that an array is something else to it than a DataFrame."""
    kind = type(estimator)
    return not kind.__module__.startswith("sklearn.") or kind.__name__ in (
        "ColumnTransformer",
        "FunctionTransformer",
    )


def has(model: Any, name: str) -> bool:
    try:
        return getattr(model, name, None) is not None
    except Exception:  # a property may raise anything
        return False
