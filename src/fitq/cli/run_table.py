"""Runs beside each other."""

from __future__ import annotations

from typing import Any

from fitq.records import MetricPoint, RunRecord
from fitq.units import format_seconds

Column = tuple[RunRecord, dict[str, list[MetricPoint]]]


def duration(run: RunRecord) -> str:
    """How long its code ran; empty before it has ended."""
    return format_seconds(run.usage.run_seconds) if run.status.is_final and run.usage.run_seconds else ""


def latest(points: list[MetricPoint]) -> Any:
    """The newest value of a series; text as it is, a number with what matters of it."""
    value = points[-1].value if points else None
    return f"{value:.6g}" if isinstance(value, float) else value


def compare_rows(columns: list[Column]) -> list[tuple[str, list[Any]]]:
    """A row per fact: its name, and its value for each run (None where a run has none)."""
    rows: list[tuple[str, list[Any]]] = [
        ("status", [str(run.status) for run, _ in columns]),
        ("what", [run.title for run, _ in columns]),
        ("arguments", [" ".join(run.arguments) for run, _ in columns]),
        ("took", [duration(run) for run, _ in columns]),
    ]
    for name in _names(run.parameters for run, _ in columns):
        rows.append((f"parameter {name}", [run.parameters.get(name) for run, _ in columns]))
    for name in _names(metrics for _, metrics in columns):
        rows.append((name, [latest(metrics.get(name, [])) for _, metrics in columns]))
    return [(name, values) for name, values in rows if any(v not in (None, "") for v in values)]


def _names(mappings: Any) -> list[str]:
    """Every key, in the order in which they come."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def timeline(run: RunRecord) -> str:
    """`Queued 12:00:01 → Running 12:00:02 → Completed 12:00:05`."""
    steps = [f"{e.status} {e.at.astimezone():%H:%M:%S}" for e in run.timeline]
    reasons = [f"({e.reason})" if e.reason else "" for e in run.timeline]
    return " → ".join(f"{s} {r}".strip() for s, r in zip(steps, reasons, strict=True))
