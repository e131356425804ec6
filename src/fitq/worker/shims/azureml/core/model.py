"""Models, and the scoring scripts that are not there yet."""

from typing import Any

from ._client import load

Model = load("fitq.sdk.model", "Model")
_absent = load("fitq.sdk.absent", "absent")


class InferenceConfig:
    """A scoring script of one's own: not there yet; making one says so."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise _absent(
            "InferenceConfig (a scoring script of one's own)",
            "Deploy without it: models that scikit-learn wrote are served as they are.",
        )
