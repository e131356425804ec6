"""What a scheduler does in each round. Every step may be done twice, and by two, without harm."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from fitq import attempts, claims, final_records, pools, publishing, restoring
from fitq.attempts import Fenced
from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.records import RunRecord, RunStatus, now
from fitq.store.protocols import Lease, LeaseEnd

log = get_logger(__name__)
#: A run is queued and then its message is sent; in between it may rightly be without one.
_MESSAGE_AFTER = timedelta(seconds=10)
#: A worker that lives is heard again this soon after an outage: a call that hangs ends within 3 s, and it
#: renews every 2 s.
_HEARD_AGAIN_SECONDS = 6.0
_MANY = 100_000
_AT_ONCE = 1000  #: of those that wait there may be any number
#: Of so many times, messages are searched for once even if their number is right.
_SEARCH_EVERY = 10


def patience(lease_seconds: float) -> float:
    """How long after an outage, or after our own start, nobody is judged, in seconds."""
    return min(lease_seconds, _HEARD_AGAIN_SECONDS)


class _Sight(NamedTuple):
    """A lease as it was first seen."""

    ends: float | None  #: changes with each renewal; None: there is none
    since: float  #: on the clock that stands still while Redis is away


class Care:
    """Rounds over one workspace, with the little that has to be remembered between them."""

    def __init__(self, backend: Backend, lease_seconds: float) -> None:
        self._backend = backend
        self._lease_seconds = lease_seconds
        self._seen: dict[Lease, _Sight] = {}
        self._times_asked = itertools.count(1)  #: for missing messages
        self._away_seconds = 0.0
        self._looked_at = 0.0  #: by the clock

    def begin_anew(self) -> None:
        """Forget what was seen: Redis lost its data."""
        self._seen.clear()

    def was_away(self, seconds: float) -> None:
        """Redis or this process was: renewals may not have come through, so nobody was silent meanwhile.

        Who was silent before still is. Were that forgotten, outages that follow each other closely would keep
        the run of a dead worker for as long as they do.
        """
        self._away_seconds += seconds

    @property
    def clock(self) -> float:
        """Seconds in which renewals could come through."""
        return time.monotonic() - self._away_seconds

    def end_lost_attempts(self) -> int:
        """Take runs from workers that stopped renewing; returns how many."""
        leases, held = self.look()
        lost = [lease for lease in self._seen if self._is_lost(lease, leases.get(lease))]
        for lease in lost:
            if lease not in held:  # of an attempt that is over
                self._backend.state.drop_lease(lease)
        return sum(self._lose(held[lease]) for lease in lost if lease in held)

    def look(self) -> tuple[dict[Lease, LeaseEnd], dict[Lease, RunRecord]]:
        """Note which leases were renewed since the last look; returns all, and the runs that are held."""
        self._looked_at = self.clock  # before: if this process stands still in between, nobody was silent
        leases = self._backend.state.list_leases()
        held = {attempts.lease_of(run): run for run in self._held()}
        self._look_at(held.keys() | leases.keys(), leases)
        return leases, held

    def _held(self) -> Iterator[RunRecord]:
        for status in attempts.HELD:
            listed = self._backend.state.list_runs(status=status, limit=_MANY)
            yield from filter(attempts.is_held, listed)  # one may have moved on between index and record

    def _look_at(self, all_leases: set[Lease], leases: dict[Lease, LeaseEnd]) -> None:
        seen, at = self._seen, self._looked_at
        self._seen = {}
        for lease in all_leases:
            ends = leases[lease].ends if lease in leases else None
            before = seen.get(lease)
            self._seen[lease] = before if before and before.ends == ends else _Sight(ends, at)

    def _is_lost(self, lease: Lease, end: LeaseEnd | None) -> bool:
        """Not renewed for a lease on our own clock, or what Redis' clock says and we have seen a while.

        Redis' clock alone would not do: it may jump, and after an outage every lease has run out.
        """
        unchanged_seconds = self._looked_at - self._seen[lease].since
        if unchanged_seconds > self._lease_seconds:
            return True
        ran_out = end is not None and end.seconds_left < 0
        return ran_out and unchanged_seconds >= patience(self._lease_seconds)

    def _lose(self, run: RunRecord) -> bool:
        try:
            after = claims.lose(self._backend, run)
        except Fenced:
            return False
        except Unavailable as exc:  # the next round tries again; others should not wait for that
            log.warning("attempt_not_ended", run_id=run.id, attempt=run.attempt, error=exc.message)
            return False
        log.warning("attempt_lost", run_id=run.id, attempt=run.attempt, worker=run.worker, now=after.status)
        return True

    def send_missing_messages(self) -> int:
        """Wake workers for queued runs that have no message; returns how many.

        Reading every run and every message is dear when many wait, so mostly they are only counted. A
        message of a run that was canceled makes up for one that is missing, but not for ever.
        """
        if not (next(self._times_asked) % _SEARCH_EVERY == 0 or self._may_be_missing()):
            return 0
        began, count = now(), 0
        messages = functools.cache(self._backend.queue.messages)
        for run in self._queued():
            if run.cancel_requested:
                self._cancel(run)
                continue
            is_old = began - run.timeline[-1].at > _MESSAGE_AFTER
            if is_old and run.id not in messages(run.pool).waiting:
                count += self._wake(run, messages(run.pool).fetched.get(run.id))
        return count

    def _cancel(self, run: RunRecord) -> None:
        """End one that was given back although somebody had asked to cancel it: older workers did that."""
        try:
            final_records.cancel_queued(self._backend, run)
        except Unavailable as exc:  # as in `_lose`
            log.warning("run_not_canceled", run_id=run.id, error=exc.message)

    def _wake(self, run: RunRecord, fetched: str | None) -> bool:
        """Have a worker hear of a run. One that fetched its message would have claimed it long ago, had it
        ever heard of that."""
        if fetched is not None:
            is_sent = self._backend.queue.put_back(run.pool, [fetched]) > 0
        else:
            self._backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
            is_sent = True
        if is_sent:
            log.warning("message_sent_again", run_id=run.id)
        return is_sent

    def _queued(self) -> Iterator[RunRecord]:
        """All that wait, the oldest first. What moves between pages meanwhile has its turn later."""
        for offset in itertools.count(0, _AT_ONCE):
            page = self._backend.state.list_runs(
                status=RunStatus.QUEUED, newest_first=False, offset=offset, limit=_AT_ONCE
            )
            yield from page
            if not page:
                return

    def _may_be_missing(self) -> bool:
        """Whether a pool has fewer messages than runs, or fewer that wait than runs that do. One that is
        executed keeps its message."""
        loads, queue = self._backend.state.pool_load(), self._backend.queue
        return any(
            queue.count(pool) < load.queued + load.running or queue.depth(pool) < load.queued
            for pool, load in loads.items()
            if load.queued
        )

    def restore_open(self) -> int:
        """Queue again what was accepted and Redis does not know; returns how many runs."""
        pools.restore_settings(self._backend)
        publishing.restore_published(self._backend)
        restored = restoring.restore_open(self._backend)
        if restored:
            log.warning("accepted_runs_restored", count=restored)
        return restored

    def restore_ended(self) -> int:
        """List again what ended and Redis does not know; returns how many."""
        restored = restoring.restore_ended(self._backend)
        if restored:
            log.warning("ended_runs_restored", count=restored)
        self._backend.state.note_whole()
        return restored
