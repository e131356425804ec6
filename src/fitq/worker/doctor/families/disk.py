"""No room to write."""

from __future__ import annotations

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"disk_full": "The worker's disk, or the run's share of it, is full."}

_TOLD = ("[Errno 28]", "No space left on device", "[Errno 122]", "Disk quota exceeded")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """ENOSPC and EDQUOT, however they were wrapped."""
    if not any(words in trace.text for words in _TOLD):
        return None
    return Finding(
        "disk_full",
        trace.sentence,
        "Write less: compress with joblib.dump(model, path, compress=3), delete what is not kept, keep "
        "intermediate arrays in memory. Or give the worker's FITQ_WORK_DIR a larger disk.",
    )
