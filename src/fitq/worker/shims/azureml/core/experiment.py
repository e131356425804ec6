"""Experiments: where runs are submitted and compared."""

from azureml.core._client import load

Experiment = load("fitq.sdk.experiment", "Experiment")
