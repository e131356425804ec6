"""The workspace: where everything else is reached from."""

from ._client import load

Workspace = load("fitq.sdk.workspace", "Workspace")
