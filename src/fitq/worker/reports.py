"""What a worker tells its pool: that it lives, what it executes, and what it can run."""

from __future__ import annotations

import contextlib
from datetime import datetime

from fitq import __version__
from fitq.errors import Unavailable
from fitq.records import WorkerRecord, now
from fitq.store.patience import patiently
from fitq.worker.actors import Actors
from fitq.worker.execute import Executor
from fitq.worker.versions import own_versions


class Reports:
    """Those of one worker, from its first to its last."""

    def __init__(self, executor: Executor, actors: Actors, started_at: datetime) -> None:
        self._executor, self._actors, self._started_at = executor, actors, started_at
        self._state, self._pool = executor.backend.state, executor.settings.pool

    def publish(self) -> None:
        """Say all of it, once Redis is there; nothing if this worker is to stop before."""
        stop = self._executor.stopping
        known = self._actors.known
        with contextlib.suppress(Unavailable):
            patiently(
                lambda: self._state.publish_functions(self._pool, known),
                what="publish the functions",
                stop=stop,
            )
            patiently(self._say_that_it_lives, what="report to the pool", stop=stop)

    def report(self) -> None:
        """Say that it lives, and what it can run if that is new.

        Raises:
            Unavailable: Redis does not answer.
        """
        self._say_that_it_lives()
        if self._actors.load() or not self._is_known():
            self.publish()

    def withdraw(self) -> None:
        """The worker ends; one that cannot say so is taken for dead later."""
        with contextlib.suppress(Unavailable):
            self._state.forget_worker(self._executor.worker_id)

    def _is_known(self) -> bool:
        """Whether Redis still has this pool's functions: it may have lost its data."""
        return any(f.pool == self._pool for f in self._state.list_functions())

    def _say_that_it_lives(self) -> None:
        executor = self._executor
        self._state.report_worker(
            WorkerRecord(
                id=executor.worker_id,
                pool=self._pool,
                slots=executor.settings.slots,
                seen_at=now(),
                started_at=self._started_at,
                runs=sorted(executor.held),
                versions=own_versions(),
                fitq=__version__,
                isolation=list(executor.ladder.rungs),
                problem="" if executor.has_room else "its disk is too full to start runs",
                not_isolated=executor.ladder.missing,
                secrets=executor.vault.names,
            )
        )


__all__ = ["Reports"]
