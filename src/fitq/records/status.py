"""Where a run is, and the only way from one status to the next."""

from __future__ import annotations

import enum


class RunStatus(enum.StrEnum):
    """Where a run is, in Azure's spelling."""

    QUEUED = "Queued"  #: accepted; waits for a worker of its pool
    PREPARING = "Preparing"  #: a worker fetches its snapshot, inputs and environment
    RUNNING = "Running"  #: the user's code runs
    FINALIZING = "Finalizing"  #: outputs and logs are being kept
    COMPLETED = "Completed"  #: it ended with exit code 0
    FAILED = "Failed"  #: it did not; `failure` says why
    CANCELED = "Canceled"  #: somebody stopped it

    @property
    def is_final(self) -> bool:
        return not TRANSITIONS[self]


#: The only way from one status to the next. Back to Queued: an attempt was lost or handed back.
TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.PREPARING, RunStatus.CANCELED, RunStatus.FAILED}),
    RunStatus.PREPARING: frozenset(
        {
            RunStatus.RUNNING,
            RunStatus.QUEUED,
            RunStatus.FINALIZING,
            RunStatus.CANCELED,
            RunStatus.FAILED,
        }
    ),
    RunStatus.RUNNING: frozenset(
        {RunStatus.FINALIZING, RunStatus.QUEUED, RunStatus.CANCELED, RunStatus.FAILED}
    ),
    RunStatus.FINALIZING: frozenset(
        {RunStatus.COMPLETED, RunStatus.QUEUED, RunStatus.CANCELED, RunStatus.FAILED}
    ),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELED: frozenset(),
}
