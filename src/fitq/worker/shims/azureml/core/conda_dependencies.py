"""The list of packages an environment asks for."""

from ._client import load

CondaDependencies = load("fitq.sdk.conda", "CondaDependencies")
