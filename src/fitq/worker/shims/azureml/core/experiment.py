"""Experiments: where runs are submitted and compared."""

from ._client import load

Experiment = load("fitq.sdk.experiment", "Experiment")
