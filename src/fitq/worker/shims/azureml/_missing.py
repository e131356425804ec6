"""What Azure's client has and this one has not: an import says so, and what to do instead."""

import sys
from typing import Any

#: Start of a module's or name's path → what to do instead. The first that fits is told.
WAYS = (
    ("azureml.train.hyperdrive", "Sweeps are not there yet: submit one run for each combination."),
    ("azureml.train.sklearn", "Estimators are gone from Azure too: use azureml.core.ScriptRunConfig."),
    ("azureml.train", "Submit with azureml.core.ScriptRunConfig; sweeps (hyperdrive) are not there yet."),
    ("azureml.pipeline", "Pipelines are not there yet: submit one run after the other."),
    ("azureml.data", "Data sets are not there yet: put the files beside the script, they travel with it."),
    ("azureml.core.Dataset", "Data sets are not there yet: put the files beside the script."),
    ("azureml.core.dataset", "Data sets are not there yet: put the files beside the script."),
    ("azureml.core.Datastore", "Data stores are not there yet: put the files beside the script."),
    ("azureml.core.datastore", "Data stores are not there yet: put the files beside the script."),
    ("azureml.core.authentication", "fitq needs no login of Azure: leave auth out; FITQ_TOKEN opens it."),
    ("azureml.core.Keyvault", "There is no key vault: hand values over as environment variables."),
    ("azureml.core.keyvault", "There is no key vault: hand values over as environment variables."),
    ("azureml.core.image", "Images are not built: Model.deploy serves a model as it is."),
    ("azureml.core.Image", "Images are not built: Model.deploy serves a model as it is."),
    ("azureml.core.container_registry", "Containers are not used: runs are isolated processes."),
    ("azureml.core.ContainerRegistry", "Containers are not used: runs are isolated processes."),
    ("azureml.mlflow", "MLflow tracking is not there yet: log with Run.get_context().log(...)."),
)
_REST = "It covers workspaces, experiments, runs, environments, models, web services and compute targets."


def explain(name: str) -> str:
    """A sentence about a name that is not there."""
    way = next((way for start, way in WAYS if name == start or name.startswith(start + ".")), _REST)
    return "fitq's azureml has no %r. %s" % (name, way)


def is_known(name: str) -> bool:
    """Whether Azure has that name, and there is something to say about it."""
    return any(name == start for start, _ in WAYS)


class _LastFinder:
    """Asked only when nothing else found a module."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> None:
        """Never finds; explains modules of azureml."""
        if fullname.startswith("azureml."):
            raise ModuleNotFoundError(explain(fullname), name=fullname)


def watch() -> None:
    """From now on, importing what is not there is explained."""
    if _LastFinder not in sys.meta_path:
        sys.meta_path.append(_LastFinder)
