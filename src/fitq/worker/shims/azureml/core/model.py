"""Models, and how they are scored; in an entry script only where the model's file is."""

import os
from typing import Any

from ._client import load


class _ServedModel:
    """`Model` in an entry script: the platform has put what it reads beside it."""

    @staticmethod
    def get_model_path(model_name: str, version: Any = None, _workspace: Any = None) -> str:
        """A model's file. If the script reads one model it is that one's, whatever name is asked for."""
        folder = os.environ["AZUREML_MODEL_DIR"]
        (first, *_) = names = sorted(os.listdir(folder))
        if os.path.isfile(os.path.join(folder, first)):
            return os.path.join(folder, first)
        if model_name not in names:
            raise KeyError("The script reads no model %r. It reads: %s." % (model_name, ", ".join(names)))
        versions = sorted(os.listdir(os.path.join(folder, model_name)), key=int)
        if str(version or versions[-1]) not in versions:
            raise KeyError("Of %s the script reads version %s." % (model_name, ", ".join(versions)))
        place = os.path.join(folder, model_name, str(version or versions[-1]))
        return os.path.join(place, *os.listdir(place))


if os.environ.get("AZUREML_ENTRY_SCRIPT"):
    Model = _ServedModel  # type: Any
else:
    Model = load("fitq.sdk.model", "Model")
    InferenceConfig = load("fitq.sdk.entry", "InferenceConfig")
