"""How a run executes."""

from ._client import load

RunConfiguration = load("fitq.sdk.config", "RunConfiguration")
DockerConfiguration = load("fitq.sdk.config", "DockerConfiguration")
