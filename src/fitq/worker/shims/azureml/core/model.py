"""Models, and how they are scored; in an entry script only where the model's file is."""

import os
from typing import Any

from ._client import load


class _ServedModel:
    """`Model` in an entry script: the platform has put the one model beside it."""

    @staticmethod
    def get_model_path(model_name: str, version: Any = None, _workspace: Any = None) -> str:
        """The model's file. Whatever name is asked for: an entry script has one model."""
        folder = os.environ["AZUREML_MODEL_DIR"]
        return os.path.join(folder, *os.listdir(folder))


if os.environ.get("AZUREML_ENTRY_SCRIPT"):
    Model = _ServedModel  # type: Any
else:
    Model = load("fitq.sdk.model", "Model")
    InferenceConfig = load("fitq.sdk.entry", "InferenceConfig")
