"""A script, its folder, and how to run it."""

from azureml.core._client import load

ScriptRunConfig = load("fitq.sdk.config", "ScriptRunConfig")
