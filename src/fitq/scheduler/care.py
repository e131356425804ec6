"""What the leading scheduler does in each round. Every step may be done twice, and by two, without harm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from fitq import attempts, pools, publishing, registrations, runs
from fitq.attempts import Fenced
from fitq.backend import Backend
from fitq.logs import get_logger
from fitq.records import RunRecord, RunStatus, now
from fitq.store.protocols import Lease

log = get_logger(__name__)
#: A run is queued and then its message is sent; in between it may rightly be without one.
_MESSAGE_AFTER = timedelta(seconds=10)
_MANY = 100_000


class Care:
    """Rounds over one workspace, with the little that has to be remembered between them."""

    def __init__(self, backend: Backend, lease_seconds: float) -> None:
        self._backend = backend
        self._lease_seconds = lease_seconds
        self._unleased_since: dict[Lease, float] = {}  #: held attempts that have no lease

    def end_lost_attempts(self) -> int:
        """Take runs from workers that stopped renewing; returns how many."""
        leases = self._backend.state.list_leases()
        held = {attempts.lease_of(run): run for run in self._held()}
        self._note_missing(held.keys() - leases.keys())
        for lease in leases.keys() - held.keys():
            if leases[lease] < -self._lease_seconds:  # of an attempt that is over
                self._backend.state.drop_lease(lease)
        return sum(self._lose(run) for lease, run in held.items() if self._is_lost(lease, leases.get(lease)))

    def _held(self) -> Iterator[RunRecord]:
        for status in attempts.HELD:
            yield from self._backend.state.list_runs(status=status, limit=_MANY)

    def _note_missing(self, unleased: set[Lease]) -> None:
        seen = time.monotonic()
        self._unleased_since = {lease: self._unleased_since.get(lease, seen) for lease in unleased}

    def _is_lost(self, lease: Lease, seconds_left: float | None) -> bool:
        if seconds_left is not None:
            return seconds_left < 0
        # Redis may have lost the lease alone: its worker, if it lives, renews it soon.
        return time.monotonic() - self._unleased_since[lease] > self._lease_seconds

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
        """Bring back what Redis does not know and the object store does, and do what lost workers left to do
        after the end of their runs; returns how many runs came back."""
        pools.restore_settings(self._backend)
        publishing.restore_published(self._backend)
        ended = runs.restore_ended(self._backend)
        still_open = runs.restore_open(self._backend)
        for run_id in still_open.ended:
            registrations.complete(self._backend, run_id)
            log.warning("run_completed_late", run_id=run_id)
        restored = ended + still_open.restored
        if restored:
            log.warning("runs_restored", count=restored)
        return restored
