"""What becomes of a run that a worker does not see through: back to its queue, or ended before it started."""

from __future__ import annotations

import contextlib
import threading

from fitq import claims, final_records
from fitq.attempts import Fenced
from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.final_records import LOG_PATH
from fitq.logs import get_logger
from fitq.records import Failure, RunRecord, RunStatus
from fitq.store.patience import patiently
from fitq.worker import collect
from fitq.worker.folder import RunFolder

log = get_logger(__name__)
#: A worker that ends does not wait long for a store: what it cannot hand back, its lease gives away.
_SECONDS = 5.0


def hand_back(backend: Backend, run: RunRecord, reason: str) -> None:
    """Give it to its queue for another attempt; if that cannot be said now, its lease says it later."""
    try:
        after = patiently(
            lambda: claims.hand_back(backend, run, reason), what="hand the run back", seconds=_SECONDS
        )
        log.info("run_handed_back", run_id=run.id, reason=reason, now=after.status)
    except Fenced:
        log.warning("run_fenced", run_id=run.id, attempt=run.attempt)
    except Unavailable as exc:
        log.error("run_left_to_its_lease", run_id=run.id, error=exc.message)


def lose(backend: Backend, run: RunRecord) -> None:
    """As if this worker had been lost, but at once."""
    log.warning("run_lost", run_id=run.id, attempt=run.attempt)
    with contextlib.suppress(Fenced):  # somebody else saw it too
        patiently(lambda: claims.lose(backend, run), what="give the lost run back")


def leave_to_another(backend: Backend, run: RunRecord, folder: RunFolder, failure: Failure) -> None:
    """Not the run's fault, so it gets another attempt, perhaps on another worker; but not for ever. One
    that somebody asked to cancel ends as it is handed back.

    Raises:
        Fenced: the attempt is no longer the current one.
        Unavailable: a store stayed away.
    """
    if run.attempt < run.max_attempts or _is_canceled(backend, run):
        hand_back(backend, run, failure.message)
    else:
        fail_before_start(backend, run, folder, failure)


def _is_canceled(backend: Backend, run: RunRecord) -> bool:
    current = patiently(lambda: backend.state.get_run(run.id), what="look whether it is canceled")
    return current is not None and current.cancel_requested


def stop_before_start(backend: Backend, run: RunRecord, folder: RunFolder, stopping: threading.Event) -> None:
    """It was canceled, given to somebody else, or this worker stops, while it was Preparing.

    Raises:
        Fenced: the attempt is no longer the current one.
    """
    if stopping.is_set():
        hand_back(backend, run, "the worker was stopped")
    else:  # whoever has it by now makes this raise Fenced
        failure = Failure(kind="canceled", message="Canceled before it started.")
        _end_before_start(backend, run, folder, RunStatus.CANCELED, failure)


def fail_before_start(backend: Backend, run: RunRecord, folder: RunFolder, failure: Failure) -> None:
    """It cannot be started, and not for want of something that may come.

    Raises:
        Fenced: the attempt is no longer the current one.
    """
    _end_before_start(backend, run, folder, RunStatus.FAILED, failure)


def _end_before_start(
    backend: Backend, run: RunRecord, folder: RunFolder, status: RunStatus, failure: Failure
) -> None:
    files = [(LOG_PATH, folder.std_log)] if folder.std_log.is_file() else []
    artifacts = [collect.keep_file(backend, run, name, path) for name, path in files]
    patiently(
        lambda: final_records.finish(backend, run, status, failure=failure, artifacts=artifacts),
        what="end the run",
    )
    log.info("run_ended", run_id=run.id, status=status, kind=failure.kind)


__all__ = ["fail_before_start", "hand_back", "leave_to_another", "lose", "stop_before_start"]
