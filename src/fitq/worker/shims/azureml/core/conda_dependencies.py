"""The list of packages an environment asks for."""

from azureml.core._client import load

CondaDependencies = load("fitq.sdk.conda", "CondaDependencies")
