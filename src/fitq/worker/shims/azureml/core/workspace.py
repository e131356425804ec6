"""The workspace: where everything else is reached from."""

from azureml.core._client import load

Workspace = load("fitq.sdk.workspace", "Workspace")
