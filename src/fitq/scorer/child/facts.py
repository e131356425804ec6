"""What a model tells about itself when it is registered."""

import platform
import warnings
from typing import Any, Dict, List, Optional, Tuple

from .estimators import WITH_STD, has, parts, tells_std
from .loading import Loaded
from .predicting import plain, predict
from .rows import as_request, model_input
from .schema import Unfit, example_rows, schema_of_model, schema_of_sample
from .traces import kept_rows, seen_by_fit
from .versions import versions

#: Predict-like methods, the one used by default first.
METHODS = (
    "predict_proba",
    "predict",
    "decision_function",
    "predict_log_proba",
    "score_samples",
    "transform",
    WITH_STD,
)


def facts(loaded: Loaded, sample: Optional[List[Any]]) -> Dict[str, Any]:
    """What a model tells about itself, with rows that it was seen to answer.

    Raises:
        Unfit: the sample input is not one the model answers.
    """
    model = loaded.model
    found: Dict[str, Any] = {
        "estimator": type(model).__name__,
        "methods": [m for m in METHODS if (tells_std(model) if m == WITH_STD else has(model, m))],
        "default_method": "",
        "input_schema": None,
        "classes": plain(getattr(model, "classes_", [])) if has(model, "classes_") else [],
        "versions": {"python": platform.python_version(), "packages": versions()},
        "output_shape": [],
        "warnings": list(loaded.said),
        "given": [],
        "seen": [],
    }
    if not found["methods"]:
        found["warnings"].append(
            "%s has none of the methods %s: it is kept, but it cannot be scored."
            % (found["estimator"], ", ".join(METHODS))
        )
        return found
    schema = schema_of_sample(loaded, sample) if sample else schema_of_model(loaded)
    if schema is None:
        found["warnings"].append(
            "%s does not tell how many columns it takes: it is kept, but it cannot be scored. "
            "Register it with a sample_input." % found["estimator"]
        )
        return found
    found["given"] = schema.pop("given", [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _probe(loaded, schema, sample, found)
        found["seen"] = seen_by_fit(loaded, schema["columns"])
        found["given"] = found["given"] or kept_rows(loaded, schema["columns"])
    return found


def _probe(loaded: Loaded, schema: Dict[str, Any], sample: Any, found: Dict[str, Any]) -> None:
    """Keep only what the model was seen to do: methods, an example, which columns may be missing."""
    trouble: Optional[Exception] = None
    for rows in [schema["example"]] if sample else example_rows(schema):
        answers, trouble = _answers(loaded, schema, rows, found["methods"])
        if answers:
            schema["example"] = rows
            break
    else:
        if sample:
            raise Unfit("The model does not answer its sample_input: %s" % _sentence(trouble))
        found["warnings"].append("No example row was found that it answers: %s" % _sentence(trouble))
        schema["example"], answers = [], {m: [] for m in found["methods"]}
    found["methods"] = [m for m in found["methods"] if m in answers]
    # most useful first, whatever else it has; a list of methods keeps that order
    found["default_method"] = found["methods"][0]
    found["output_shape"] = answers[found["methods"][0]]
    if found["default_method"] not in ("predict_proba", "predict") and "transform" in answers:
        found["default_method"] = "transform"
    if schema["example"] and schema["layout"] == "rows":
        _mark_nullable(loaded, schema, found["default_method"])
    found["input_schema"] = schema


def _answers(
    loaded: Loaded, schema: Dict[str, Any], rows: List[Any], methods: List[str]
) -> Tuple[Dict[str, List[int]], Optional[Exception]]:
    """Shape of the answer of each method that answers."""
    shapes: Dict[str, List[int]] = {}
    trouble: Optional[Exception] = None
    for method in methods:
        try:
            answer = predict(loaded, method, model_input(loaded, *as_request(schema, rows)))
            shapes[method] = list((answer[0] if isinstance(answer, list) else answer).shape)
        except Exception as exc:
            trouble = trouble or exc
    return shapes, trouble


def _mark_nullable(loaded: Loaded, schema: Dict[str, Any], method: str) -> None:
    """Which columns may be missing: where a step says so *and* the model then answers.

    Saying so alone is not enough: a scaler takes missing values, the classifier behind it may not.
    """
    if not any(_allows_missing(p) for p in parts(loaded.model)):
        return
    asked = [i for i, c in enumerate(schema["columns"]) if c["kind"] in ("number", "string")]
    # all at once, and only if that is refused one by one, which takes a prediction each
    for missing in [asked] if _answers_without(loaded, schema, method, asked) else [[i] for i in asked[:256]]:
        if _answers_without(loaded, schema, method, missing):
            for i in missing:
                schema["columns"][i]["nullable"] = True


def _answers_without(loaded: Loaded, schema: Dict[str, Any], method: str, missing: List[int]) -> bool:
    row = list(schema["example"][0])
    for i in missing:
        row[i] = None
    return bool(_answers(loaded, schema, [row], [method])[0])


def _allows_missing(estimator: Any) -> bool:
    try:
        from sklearn.utils import get_tags  # scikit-learn 1.6 and later

        return bool(get_tags(estimator).input_tags.allow_nan)
    except ImportError:
        tags = estimator._get_tags() if hasattr(estimator, "_get_tags") else {}
        return bool(tags.get("allow_nan"))
    except Exception:  # not one of scikit-learn's own
        return False


def _sentence(exc: Optional[Exception]) -> str:
    return "%s: %s" % (type(exc).__name__, " ".join(str(exc).split())[:500])
