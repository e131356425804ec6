"""The packages a run needs."""

from azureml.core._client import load

Environment = load("fitq.sdk.environment", "Environment")
