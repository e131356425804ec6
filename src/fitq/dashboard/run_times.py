"""How long a run waited and ran, read from its timeline."""

from __future__ import annotations

from datetime import datetime

from fitq.records import RunRecord, RunStatus, now


def waited_seconds(run: RunRecord) -> float:
    """In its queue, before all of its attempts together; until now while it waits."""
    ends = [*(entry.at for entry in run.timeline[1:]), now()]
    waits = zip(run.timeline, ends, strict=False)
    return sum((end - e.at).total_seconds() for e, end in waits if e.status is RunStatus.QUEUED)


def duration_seconds(run: RunRecord) -> float | None:
    """Of the last attempt's user code, until now while it goes on; None if it never started."""
    starts = [e.at for e in run.timeline if e.status is RunStatus.RUNNING]
    if not starts or run.status is RunStatus.QUEUED:
        return None
    if run.status.is_final and run.usage.run_seconds:
        return run.usage.run_seconds
    kept = [e.at for e in run.timeline if e.status is RunStatus.FINALIZING and e.at >= starts[-1]]
    return (next(iter(kept), ended_at(run) or now()) - starts[-1]).total_seconds()


def ended_at(run: RunRecord) -> datetime | None:
    """When it became final."""
    return run.timeline[-1].at if run.status.is_final and run.timeline else None
