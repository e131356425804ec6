"""Python's exceptions while a model is loaded, as reasons that a person understands."""

from __future__ import annotations

import re
from typing import Any

from fitq.errors import ModelUnusable

_NOT_A_MODEL = ("UnpicklingError", "EOFError", "KeyError", "IndexError", "UnicodeDecodeError", "ValueError",
                "BadZipFile", "error", "OverflowError", "MemoryError", "struct.error")  # fmt: skip


def why_unusable(error: dict[str, Any]) -> ModelUnusable:
    """The error a child answered with while it loaded or looked into a model."""
    kind, text = str(error["type"]), str(error["message"])
    cause = f"{kind}: {text}"
    if kind == "Unfit":
        return ModelUnusable(text, hint="Send sample_input as the rows that predict takes.")
    if kind == "ModuleNotFoundError":
        package = (re.findall(r"'([^']+)'", text) or ["a package"])[0]
        return ModelUnusable(
            f"The model needs {package!r}, which is not installed where models are served.",
            hint=f"Install {package.partition('.')[0]!r} there, or save a model without it.",
            error=cause,
        )
    if kind == "AttributeError" and "__main__" in text:
        name = (re.findall(r"attribute '([^']+)'", text) or ["something"])[0]
        return ModelUnusable(
            f"The model needs {name!r}, which was defined in the training script itself.",
            hint="A saved model holds only the name of its functions and classes: "
            "use what an installed package offers instead.",
            error=cause,
        )
    if kind in ("AttributeError", "ImportError"):
        return ModelUnusable(
            f"The model was saved by another version of its library: {text}",
            hint="Save it again with the versions that serve it.",
            error=cause,
        )
    if kind in _NOT_A_MODEL:
        return ModelUnusable(
            "The file cannot be read as a joblib or pickle file; it may be cut short.",
            hint="Save the fitted estimator with joblib.dump(model, path).",
            error=cause,
        )
    return ModelUnusable(f"The model cannot be loaded: {cause}", error=cause)
