"""The packages a run needs."""

from ._client import load

Environment = load("fitq.sdk.environment", "Environment")
