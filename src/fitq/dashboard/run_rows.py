"""Runs as rows of a table: with how long they waited and ran, and the metrics that matter most."""

from __future__ import annotations

from dataclasses import dataclass

from fitq import runs
from fitq.dashboard.run_times import duration_seconds, waited_seconds
from fitq.dashboard.site import Site
from fitq.records import MetricPoint, RunRecord, RunStatus

_KEY_METRICS = 3
_REMEMBERED_RUNS = 2000


@dataclass(frozen=True)
class RunRow:
    """One run in a list."""

    run: RunRecord
    waited_seconds: float
    duration_seconds: float | None
    last_values: list[MetricPoint]  #: of the numbers logged last


def row(site: Site, run: RunRecord) -> RunRow:
    return RunRow(run, waited_seconds(run), duration_seconds(run), _last_values(site, run))


def rows(site: Site, found: list[RunRecord]) -> list[RunRow]:
    return [row(site, run) for run in found]


def _last_values(site: Site, run: RunRecord) -> list[MetricPoint]:
    """Results tend to be logged last, and numbers compare; so: the last value of the last three."""
    if run.status in (RunStatus.QUEUED, RunStatus.PREPARING):
        return []
    known = site.last_values.get(run.id)
    if known is not None:
        return known
    newest = [points[-1] for points in runs.metrics(site.backend, run).values()]
    found = [p for p in newest if isinstance(p.value, int | float)][-_KEY_METRICS:]
    if run.status.is_final:
        if len(site.last_values) >= _REMEMBERED_RUNS:
            site.last_values.clear()
        site.last_values[run.id] = found
    return found
