"""The platform ended it: somebody canceled it, or it passed a limit."""

from __future__ import annotations

import math

from fitq.units import format_bytes
from fitq.worker.doctor.case import Case, Finding
from fitq.worker.watch import Ended

KINDS = {
    "canceled": "Somebody canceled the run.",
    "timed_out": "It ran longer than its `timeout_seconds`.",
    "out_of_memory": "It used more memory than it was granted, or than there was.",
}


def recognise(case: Case) -> Finding | None:
    """A run that was ended from outside, by us."""
    known = {
        Ended.CANCELED: _canceled,
        Ended.TIMED_OUT: _timed_out,
        Ended.OUT_OF_MEMORY: _out_of_memory,
        Ended.OUT_OF_DISK: _out_of_disk,
    }
    return known[case.ended](case) if case.ended in known else None


def _canceled(case: Case) -> Finding:
    return Finding("canceled", "Canceled while it ran.", f"Run it again: fitq runs rerun {case.run.id}")


def _timed_out(case: Case) -> Finding:
    limit = case.run.timeout_seconds or 0.0
    return Finding(
        "timed_out",
        f"It ran longer than timeout_seconds ({limit:g} s).",
        f"Allow more time (--timeout {math.ceil(limit * 2)}s), or let the script save what it has and "
        "stop earlier.",
    )


def _out_of_disk(case: Case) -> Finding:
    del case
    return Finding(
        "disk_full",
        "Its folder took more disk than a run may have (FITQ_RUN_DISK_BYTES of its worker).",
        "Write less, remove what is not needed any more, or keep large files in a folder of FITQ_RUN_PATHS.",
    )


def _out_of_memory(case: Case) -> Finding:
    granted = case.run.resources.memory_bytes or 0
    peak = max(case.run.usage.peak_memory_bytes, granted)
    return Finding(
        "out_of_memory",
        f"It used {format_bytes(peak)} of memory; {format_bytes(granted)} were granted.",
        "Ask for more with --memory, or load less at once: fewer columns, dtype float32, chunks, "
        "a smaller n_jobs.",
    )
