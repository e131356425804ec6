"""`azureml.core`: each name is loaded when it is used, so that a run that only logs loads nothing else."""

import importlib
import sys
import types
from typing import Any, List

from .._missing import explain, is_known

_HOMES = {
    "ComputeTarget": "azureml.core.compute",
    "Environment": "azureml.core.environment",
    "Experiment": "azureml.core.experiment",
    "Model": "azureml.core.model",
    "Run": "azureml.core.run",
    "RunConfiguration": "azureml.core.runconfig",
    "ScriptRunConfig": "azureml.core.script_run_config",
    "VERSION": "azureml.core.version",
    "Webservice": "azureml.core.webservice",
    "Workspace": "azureml.core.workspace",
    "__version__": "azureml.core.version",
}
__all__ = [name for name in _HOMES if not name.startswith("_")]  # noqa: PLE0605


class _Core(types.ModuleType):
    """A module whose names are loaded at first use; Python 3.6 has no `__getattr__` of modules."""

    def __getattr__(self, name: str) -> Any:
        full = "azureml.core." + name
        if is_known(full):
            raise ImportError(explain(full), name=full)
        if name not in _HOMES:
            raise AttributeError(explain(full) if not name.startswith("_") else name)
        value = getattr(importlib.import_module(_HOMES[name]), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> List[str]:
        return list(__all__)


sys.modules[__name__].__class__ = _Core
