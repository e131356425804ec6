"""A script, its folder, and how to run it."""

from ._client import load

ScriptRunConfig = load("fitq.sdk.config", "ScriptRunConfig")
