"""Python's exceptions while a model is loaded or predicts, as reasons that a person understands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fitq.errors import FitqError, InputRejected, ModelUnusable, ScoringFailed
from fitq.logs import get_logger
from fitq.scorer.pickles import sklearn_that_wrote
from fitq.scorer.skops_files import is_skops, versions_in_skops

log = get_logger(__name__)
#: The way out for who knows better.
APPROVE = (
    "Only files that runs of this platform left are loaded whatever is in them. "
    "If you trust this one: fitq models approve --file FILE"
)
_WITH_OWN_CODE = "--entry-script score.py"
#: How unpickling fails on bytes that are no pickle, or not all of one.
_CUT_SHORT = {"UnpicklingError", "EOFError"}
_NOT_A_MODEL = {"KeyError", "IndexError", "UnicodeDecodeError", "ValueError",
                "error", "OverflowError"}  # fmt: skip
_MOVED = {"AttributeError", "ImportError", "ModuleNotFoundError"}


def why_unusable(error: dict[str, Any], path: Path) -> ModelUnusable:
    """The error a child answered with while it loaded or looked into the model at `path`."""
    kind, text = str(error["type"]), str(error["message"])
    cause = f"{kind}: {text}"
    is_zip = is_skops(path)
    written_by = versions_in_skops(path).get("scikit-learn", "") if is_zip else sklearn_that_wrote(path)
    # Not the apostrophe of "Can't get attribute 'Scale' on …".
    quoted = (re.findall(r"(?<!\w)'([^']+)'", text) or ["something"])[0]
    if kind == "NotAllowed":
        return ModelUnusable(f"The file would import what it may not: {text}.", hint=APPROVE, refused=[text])
    if kind == "Unfit":
        return ModelUnusable(text, hint="Send sample_input as the rows that predict takes.")
    if kind == "AttributeError" and "__main__" in text:
        return ModelUnusable(
            f"The model needs {quoted!r}, which was defined in the training script itself.",
            hint="A saved model holds only the names of its functions and classes. Put them into a file "
            f"beside the script, and register with an entry script that loads the model: {_WITH_OWN_CODE}.",
            error=cause,
        )
    if kind == "ModuleNotFoundError" and not quoted.startswith("sklearn"):
        return ModelUnusable(
            f"The model needs {quoted!r}, which is not installed where models are served.",
            hint=f"If it is of your own code, register with an entry script, which has that beside it: "
            f"{_WITH_OWN_CODE}. Else install {quoted.partition('.')[0]!r} there, or save a model without it.",
            error=cause,
        )
    if kind == "MemoryError":
        return ModelUnusable(
            "Reading the model takes more memory than it may have, or its file is cut short.",
            hint="Save a smaller model, or raise FITQ_SCORER_MEMORY_BYTES where models are registered.",
            error=cause,
        )
    if kind in _MOVED or (written_by and kind not in _CUT_SHORT):
        writer = f"scikit-learn {written_by}" if written_by else "another version of its library"
        return ModelUnusable(
            f"The model was written by {writer} and cannot be loaded here: {text}",
            hint="Train and save it again with the versions that serve it.",
            error=cause,
        )
    if kind in _CUT_SHORT | _NOT_A_MODEL:
        return ModelUnusable(
            "The file cannot be read as a joblib or pickle file; it may be cut short.",
            hint="Save the fitted estimator with joblib.dump(model, path).",
            error=cause,
        )
    return ModelUnusable(f"The model cannot be loaded: {cause}", error=cause)


def why_script_fails(error: dict[str, Any], script: str) -> ModelUnusable:
    """The error a child answered with while an entry script was imported or loaded its model."""
    kind, text = str(error["type"]), str(error["message"])
    cause, stage = f"{kind}: {text}", str(error.get("stage") or "import")
    if kind == "Unfit":
        return ModelUnusable(
            f"{script} is no entry script: {text}.",
            hint="Write init() and run(data) as for Azure, or model_fn(folder), predict_fn as for SageMaker.",
        )
    if kind == "ModuleNotFoundError":
        missing = (re.findall(r"'([^']+)'", text) or ["something"])[0].partition(".")[0]
        return ModelUnusable(
            f"{script} needs {missing!r}, which neither its folder nor the environment of the model has.",
            hint=f"Send it along in the folder of the script, or register with an environment that lists it: "
            f"--environment FILE with {missing}.",
            error=cause,
        )
    what = "does not import" if stage == "import" else f"raised in {stage}"
    hint = "The model's file is in the folder that AZUREML_MODEL_DIR (Azure) or model_dir (SageMaker) names."
    return ModelUnusable(f"{script} {what}: {cause}", hint=hint, error=cause, trace=error.get("trace", ""))


def cause(error: dict[str, Any]) -> str:
    """The exception, as its last line in a traceback."""
    return f"{error['type']}: {error['message']}"


def refused(error: dict[str, Any], key: str) -> FitqError:
    """The error a child answered with while the model predicted: the rows' fault, or the model's."""
    if error["rows_at_fault"]:
        return InputRejected(
            f"The model refuses these rows: {error['message']}",
            expected="values like those the model was trained on",
            got=error["message"],
            at="$.data",
        )
    log.error("model_raised", model=key, error=cause(error), trace=error["trace"])
    return ScoringFailed(
        "An unexpected error occurred in scoring script. Check the logs for more info.",
        hint=f"The model {key} raised while predicting. The scoring log has its trace.",
        error=cause(error),
    )
