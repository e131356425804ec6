"""A run's record as Azure's client shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fitq.records import RunRecord, RunStatus


def details(run: RunRecord, url: str, files: Iterable[str]) -> dict[str, Any]:
    """A run's record under the keys of Azure's `get_details`."""
    began = next((e.at for e in run.timeline if e.status is RunStatus.RUNNING), None)
    ended = run.timeline[-1].at if run.timeline and run.status.is_final else None
    failure = run.failure
    return {
        "runId": run.id,
        "target": run.pool,
        "status": str(run.status),
        "startTimeUtc": began.isoformat() if began else None,
        "endTimeUtc": ended.isoformat() if ended else None,
        "error": {"error": {"code": failure.kind, "message": failure.message}} if failure else None,
        "warnings": [{"message": warning} for warning in run.warnings],
        "properties": {f"git.{k}": v for k, v in run.git.items()},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": {
            "script": run.script,
            "command": run.command or "",
            "function": run.function,
            "arguments": list(run.arguments),
            "parameters": dict(run.parameters),
            "target": run.pool,
            "environment": {"name": run.environment.name, "resolvedTo": run.environment.resolved_to},
            "environmentVariables": dict(run.environment_variables),
            "maxRunDurationSeconds": run.timeout_seconds,
        },
        "logFiles": {
            f: f"{url}/v1/runs/{run.id}/artifacts/{f}" for f in files if f.startswith(("logs/", "user_logs/"))
        },
        "submittedBy": None,
    }
