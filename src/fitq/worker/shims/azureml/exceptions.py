"""Azure's names for errors. Each is fitq's own class, so `except` of either catches it."""

from typing import Any

from .core._client import load

AzureMLException: Any = load("fitq.errors", "FitqError")
ActivityFailedException = load("fitq.sdk.run", "ActivityFailedException")
ExperimentExecutionException = AzureMLException
ModelNotFoundException = load("fitq.errors", "NotFound")
ProjectSystemException = AzureMLException
RunEnvironmentException = AzureMLException
ServiceException = AzureMLException
UserErrorException = AzureMLException
WebserviceException = AzureMLException


class ComputeTargetException(AzureMLException):  # type: ignore[misc]  # found at run time
    """There is no such compute target."""

    code = "compute_target"
    status = 404
