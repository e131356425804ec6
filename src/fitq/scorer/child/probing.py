"""What a model is seen to answer: nothing is taken from what its class says of itself alone."""

from typing import Any, Dict, List, Optional, Tuple

from .estimators import parts
from .loading import Loaded
from .predicting import predict
from .rows import as_request, model_input
from .schema import kind_of

#: Columns that are tried one by one; of the others what is safe is said.
MAX_TRIED = 256
#: How scikit-learn's encoders begin to refuse a value that `fit` did not see.
UNKNOWN = "Found unknown categories"


def answers_of(
    loaded: Loaded, schema: Dict[str, Any], rows: List[Any], methods: List[str]
) -> Tuple[Dict[str, List[int]], Optional[Exception]]:
    """Shape of the answer of each method that answers, and what the first of the others raised."""
    shapes: Dict[str, List[int]] = {}
    trouble: Optional[Exception] = None
    for method in methods:
        try:
            answer = predict(loaded, method, model_input(loaded, *as_request(schema, rows)))
            shapes[method] = list((answer[0] if isinstance(answer, list) else answer).shape)
        except Exception as exc:
            trouble = trouble or exc
    return shapes, trouble


def mark_nullable(loaded: Loaded, schema: Dict[str, Any], method: str) -> None:
    """Which columns may be missing: where a step says so *and* the model then answers.

    Saying so alone is not enough: a scaler takes missing values, the classifier behind it may not.
    """
    if not any(_allows_missing(p) for p in parts(loaded.model)):
        return
    asked = [i for i, c in enumerate(schema["columns"]) if c["kind"] in ("number", "string")]
    # all at once, and only if that is refused one by one, which takes a prediction each
    whole = _trouble(loaded, schema, method, dict.fromkeys(asked)) is None
    for i in asked if whole else asked[:MAX_TRIED]:
        if whole or _trouble(loaded, schema, method, {i: None}) is None:
            schema["columns"][i]["nullable"] = True


def mark_categories(loaded: Loaded, schema: Dict[str, Any], method: str, known: Dict[int, List[Any]]) -> None:
    """Which values `fit` saw in columns of categories, and whether the model refuses any other.

    Args:
        known: the values, by the number of their column.
    """
    columns = schema["columns"]
    others: Dict[int, Any] = {}
    for i, values in sorted(known.items()):
        kind = columns[i]["kind"]
        if kind_of(values) not in (kind, "integer" if kind == "number" else kind):
            continue
        columns[i]["categories"] = values
        if kind != "boolean" and len(others) < MAX_TRIED:
            others[i] = "none of " + " ".join(values)[:200] if kind == "string" else max(values) + 1
    if not others or _trouble(loaded, schema, method, others) is None:
        return
    for i, other in others.items():
        columns[i]["refuses_others"] = UNKNOWN in str(_trouble(loaded, schema, method, {i: other}))


def _trouble(
    loaded: Loaded, schema: Dict[str, Any], method: str, values: Dict[int, Any]
) -> Optional[Exception]:
    """What the model raises when its example has these values in place of its own; None: it answers."""
    row = [values.get(i, value) for i, value in enumerate(schema["example"][0])]
    return answers_of(loaded, schema, [row], [method])[1]


def _allows_missing(estimator: Any) -> bool:
    try:
        from sklearn.utils import get_tags  # scikit-learn 1.6 and later

        return bool(get_tags(estimator).input_tags.allow_nan)
    except ImportError:
        tags = estimator._get_tags() if hasattr(estimator, "_get_tags") else {}
        return bool(tags.get("allow_nan"))
    except Exception:  # not one of scikit-learn's own
        return False
