"""Fit on a queue, predict on demand.

Every public name, loaded when it is first used: `import fitq` inside a run or a training function costs
no more than the words it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitq.context import RunContext as RunContext
    from fitq.sdk.client import Client as Client
    from fitq.sdk.config import FunctionCall as FunctionCall
    from fitq.sdk.config import RunConfiguration as RunConfiguration
    from fitq.sdk.config import ScriptRunConfig as ScriptRunConfig
    from fitq.sdk.entry import InferenceConfig as InferenceConfig
    from fitq.sdk.environment import Environment as Environment
    from fitq.sdk.experiment import Experiment as Experiment
    from fitq.sdk.model import Model as Model
    from fitq.sdk.registering import ResourceConfiguration as ResourceConfiguration
    from fitq.sdk.run import ActivityFailedException as ActivityFailedException
    from fitq.sdk.run import Run as Run
    from fitq.sdk.service import Endpoint as Endpoint
    from fitq.sdk.workspace import Workspace as Workspace
    from fitq.signature import function as function

__version__ = "0.1.0"

_HOMES = {
    "ActivityFailedException": "fitq.sdk.run",
    "Client": "fitq.sdk.client",
    "Endpoint": "fitq.sdk.service",
    "Environment": "fitq.sdk.environment",
    "Experiment": "fitq.sdk.experiment",
    "FunctionCall": "fitq.sdk.config",
    "InferenceConfig": "fitq.sdk.entry",
    "Model": "fitq.sdk.model",
    "ResourceConfiguration": "fitq.sdk.registering",
    "Run": "fitq.sdk.run",
    "RunConfiguration": "fitq.sdk.config",
    "RunContext": "fitq.context",
    "ScriptRunConfig": "fitq.sdk.config",
    "Workspace": "fitq.sdk.workspace",
    "function": "fitq.signature",
}

__all__ = [
    "ActivityFailedException",
    "Client",
    "Endpoint",
    "Environment",
    "Experiment",
    "FunctionCall",
    "InferenceConfig",
    "Model",
    "ResourceConfiguration",
    "Run",
    "RunConfiguration",
    "RunContext",
    "ScriptRunConfig",
    "Workspace",
    "__version__",
    "function",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fitq' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":  # quoted: also read by the Pythons of training scripts
    return list(__all__)
