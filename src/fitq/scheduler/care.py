"""What the leading scheduler does in each round. Every step may be done twice, and by two, without harm."""

from __future__ import annotations

import time
from datetime import timedelta

from fitq import attempts, runs
from fitq.attempts import Fenced
from fitq.backend import Backend
from fitq.logs import get_logger
from fitq.records import RunRecord, RunStatus, now

log = get_logger(__name__)
#: A run is queued and then its message is sent; in between it may rightly be without one.
_MESSAGE_AFTER = timedelta(seconds=10)
_MANY = 100_000


class Care:
    """Rounds over one workspace, with the little that has to be remembered between them."""

    def __init__(self, backend: Backend, lease_seconds: float) -> None:
        self._backend = backend
        self._lease_seconds = lease_seconds
        self._unleased_since: dict[str, float] = {}

    def end_lost_attempts(self) -> int:
        """Take runs from workers that stopped renewing; returns how many."""
        leases = self._backend.state.list_leases()
        held = [r for s in attempts.HELD for r in self._backend.state.list_runs(status=s, limit=_MANY)]
        lost = [run for run in held if self._is_lost(run, leases.get(attempts.lease_of(run)))]
        self._forget_others(held)
        for lease in leases.keys() - {attempts.lease_of(run) for run in held}:
            if leases[lease] < -self._lease_seconds:  # of an attempt that is over
                self._backend.state.drop_lease(lease)
        return sum(self._lose(run) for run in lost)

    def _is_lost(self, run: RunRecord, seconds_left: float | None) -> bool:
        if seconds_left is not None:
            return seconds_left < 0
        # Redis may have lost the lease alone: its worker, if it lives, renews it soon.
        since = self._unleased_since.setdefault(run.id, time.monotonic())
        return time.monotonic() - since > self._lease_seconds

    def _forget_others(self, held: list[RunRecord]) -> None:
        ids = {run.id for run in held}
        self._unleased_since = {i: t for i, t in self._unleased_since.items() if i in ids}

    def _lose(self, run: RunRecord) -> bool:
        try:
            after = attempts.lose(self._backend, run)
        except Fenced:
            return False
        log.warning("attempt_lost", run_id=run.id, attempt=run.attempt, worker=run.worker, now=after.status)
        return True

    def send_missing_messages(self) -> int:
        """Wake workers for queued runs that have no message; returns how many."""
        queued = self._backend.state.list_runs(status=RunStatus.QUEUED, newest_first=False, limit=_MANY)
        old = [run for run in queued if now() - run.timeline[-1].at > _MESSAGE_AFTER]
        known = {pool: self._backend.queue.run_ids(pool) for pool in {run.pool for run in old}}
        missing = [run for run in old if run.id not in known[run.pool]]
        for run in missing:
            self._backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
            log.warning("message_sent_again", run_id=run.id)
        return len(missing)

    def restore(self) -> int:
        """Bring back what Redis does not know and the object store does; returns how many runs."""
        restored = runs.restore_ended(self._backend) + runs.restore_open(self._backend)
        if restored:
            log.warning("runs_restored", count=restored)
        return restored
