"""Runs that never started, and those whose worker went away: said by whoever noticed, not by a log."""

from __future__ import annotations

import errno

from fitq.errors import FitqError
from fitq.records import Failure

KINDS = {
    "environment_failed": "The environment that the run asked for could not be built.",
    "secret_unavailable": "The worker has not the secret that the run names, or cannot hand it over.",
    "start_failed": "The run's process could not be started.",
    "isolation_failed": "The worker could not separate the run from its machine: it executed nothing of it.",
    "disk_full": "The worker's disk, or the run's share of it, is full.",
    "not_found": "The snapshot, or the training function, is not there any more.",
    "unsafe_snapshot": "The snapshot holds what may not be unpacked.",
    "too_large": "The snapshot unpacks to more than is allowed.",
    "worker_lost": "The worker was lost, and `max_attempts` allows no other attempt.",
}


def not_confined(worker: str, reason: str) -> Failure:
    """The failure of a run whose process could not take a step of its isolation."""
    return Failure(
        kind="isolation_failed",
        message=f"Worker {worker} could not confine the run, and executed nothing of it: {reason}",
        hint="It is the machine's doing, not the run's. Start the worker again: it finds anew what its "
        "machine can do, and `fitq doctor` shows it. FITQ_ISOLATION=off does without.",
    )


def not_started(exc: FitqError | OSError, kind: str = "") -> Failure:
    """The failure of a run that could not be started; `kind` where the error's own code says less."""
    if isinstance(exc, FitqError):
        lines = [str(line) for line in exc.data.get("lines", [])]
        return Failure(kind=kind or exc.code, message=exc.message, hint=exc.hint, lines=lines)
    message = f"The run could not be started: {exc.strerror or exc}."
    if exc.errno == errno.ENOSPC:  # no room for its folder
        hint = "Free room below the worker's FITQ_WORK_DIR, then run it again."
        return Failure(kind="disk_full", message=message, hint=hint)
    hint = "Arguments and environment together may be about 2 MB." if exc.errno == errno.E2BIG else ""
    return Failure(kind="start_failed", message=message, hint=hint)
