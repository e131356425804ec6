"""Memory that was not to be had, told by an exception."""

from __future__ import annotations

import re

from fitq.units import format_bytes
from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"out_of_memory": "It used more memory than it was granted, or than there was."}

_WORKERS_KILLED = re.compile(r"SIGKILL|terminated abruptly|unexpectedly terminated")
_HINT = "Ask for more with --memory, or load less at once: fewer columns, dtype float32, chunks."


def recognise(case: Case, trace: Trace) -> Finding | None:
    """MemoryError and its kin; a process of a pool that was killed."""
    if trace.short_name in ("MemoryError", "_ArrayMemoryError") or "Cannot allocate memory" in trace.text:
        return Finding("out_of_memory", f"{trace.sentence}{_peak(case)}", _HINT)
    if trace.short_name in ("TerminatedWorkerError", "BrokenProcessPool") and _killed(trace):
        return Finding(
            "out_of_memory",
            f"A process of its pool was killed{_peak(case)}: {trace.first_line}",
            "Memory is the usual reason: each process of n_jobs has its own copy of the data. "
            f"Use a smaller n_jobs. {_HINT}",
        )
    return None


def _killed(trace: Trace) -> bool:
    return "SIGSEGV" not in trace.text and bool(_WORKERS_KILLED.search(trace.text))


def _peak(case: Case) -> str:
    peak = case.run.usage.peak_memory_bytes
    return f" (the largest process of the run had {format_bytes(peak)})" if peak else ""
