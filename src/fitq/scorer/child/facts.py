"""What a model tells about itself when it is registered."""

import platform
import warnings
from typing import Any, Dict, List, Optional

from .estimators import WITH_STD, has, tells_std
from .loading import Loaded
from .predicting import plain
from .probing import answers_of, mark_categories, mark_nullable
from .schema import Unfit, example_rows, schema_of_model, schema_of_sample
from .traces import kept_rows, known_categories, seen_by_fit, traces_of
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
        traces = traces_of(loaded, schema["columns"])
        if schema["example"]:
            mark_categories(loaded, schema, found["default_method"], known_categories(traces))
        found["seen"] = seen_by_fit(traces, len(schema["columns"]))
        found["given"] = found["given"] or kept_rows(loaded, schema["columns"])
    return found


def _probe(loaded: Loaded, schema: Dict[str, Any], sample: Any, found: Dict[str, Any]) -> None:
    """Keep only what the model was seen to do: methods, an example, which columns may be missing."""
    trouble: Optional[Exception] = None
    for rows in [schema["example"]] if sample else example_rows(schema):
        answers, trouble = answers_of(loaded, schema, rows, found["methods"])
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
        mark_nullable(loaded, schema, found["default_method"])
    found["input_schema"] = schema


def _sentence(exc: Optional[Exception]) -> str:
    return "%s: %s" % (type(exc).__name__, " ".join(str(exc).split())[:500])
