"""Workers that execute nothing: they report, look, take, hold and end runs with the calls of real ones.

A real worker is a process with threads; here a few threads step through many of them. Each has an id, a
consumer and leases of its own, so the stores see what they would see of as many machines, but no faster
than these threads can ask.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fitq import __version__, attempts, claims, final_records
from fitq.backend import Backend, open_backend
from fitq.doorbell import DoorbellBroker
from fitq.final_records import LOG_PATH
from fitq.pools import REPORT_SECONDS
from fitq.records import ArtifactRecord, FunctionRecord, RunRecord, RunStatus, WorkerRecord, now
from fitq.settings import Settings
from fitq.worker.versions import own_versions
from scale_lab.meters import Meters, Reading

THREADS = 8
_LOOKS = 2  #: of an idle consumer at its queue between two reports
_LOG = b"Accuracy of the classifier on the test set: 0.97\n" * 4


class Load(NamedTuple):
    """What so many workers asked of the servers."""

    workers: int
    wanted_per_second: float  #: reports, when all keep their rhythm
    reports: int
    used: Reading


class Simulated:
    """One worker."""

    def __init__(self, backend: Backend, number: int, pool: str) -> None:
        self.id = f"simulated-{number:05d}"
        self._backend, self._pool, self._started = backend, pool, now()
        broker = backend.queue.broker
        assert isinstance(broker, DoorbellBroker)
        self._bell = broker.bell(pool)
        self._consumer = broker.consume(pool, prefetch=1, timeout=0)
        self._held: RunRecord | None = None

    def report(self) -> None:
        """Everything that a worker says and asks each time it reports."""
        state = self._backend.state
        held = [] if self._held is None else [self._held]
        state.renew_leases([attempts.lease_of(run) for run in held], attempts.LEASE_SECONDS)
        for run in held:
            state.get_run(run.id)
        state.report_worker(
            WorkerRecord(
                id=self.id, pool=self._pool, slots=1, seen_at=now(), started_at=self._started,
                runs=[run.id for run in held], fitq=__version__, isolation=["keeper", "landlock"],
                versions=own_versions(),
            )
        )  # fmt: skip
        state.list_published()
        state.list_functions()
        for _ in range(_LOOKS):
            self.execute_one()
            self._backend.queue.broker.client.lpop(self._bell)  # it blocks there, for as long as it may

    def execute_one(self) -> bool:
        """Take a message, and do for its run all that a worker does but run it."""
        message = super(type(self._consumer), self._consumer).__next__()
        if message is None:
            return False
        run = claims.claim(self._backend, message.args[0], self.id)
        if run is not None:
            self._held = run = attempts.advance(self._backend, run, RunStatus.RUNNING)
            self._finish(attempts.advance(self._backend, run, RunStatus.FINALIZING))
            self._held = None
        self._consumer.ack(message)
        return True

    def _finish(self, run: RunRecord) -> None:
        self._backend.objects.put(self._backend.keys.attempt_file(run, LOG_PATH), _LOG)
        log = ArtifactRecord(path=LOG_PATH, size_bytes=len(_LOG), sha256=secrets.token_hex(32))
        final_records.finish(self._backend, run, RunStatus.COMPLETED, artifacts=[log])


def idle(settings: Settings, meters: Meters, counts: list[int], seconds: float) -> Iterator[Load]:
    """So many workers with nothing to do, reporting for a while."""
    backend = open_backend(settings)
    backend.state.publish_functions("idle", [_function(n) for n in range(20)])
    workers: list[Simulated] = []
    for count in counts:
        workers += [Simulated(backend, n, "idle") for n in range(len(workers), count)]
        for worker in workers:
            worker.report()
        before, reports = meters.read(), _report_for(workers, seconds)
        yield Load(count, count / REPORT_SECONDS, reports, meters.read().since(before))


def _report_for(workers: list[Simulated], seconds: float) -> int:
    """Each reports every `REPORT_SECONDS` for so long, or as fast as these threads can; how often in all."""
    rounds = max(1, round(seconds / REPORT_SECONDS))

    def step(number: int) -> None:
        for _ in range(rounds):
            round_ends = time.monotonic() + REPORT_SECONDS
            for worker in workers[number::THREADS]:
                worker.report()
            time.sleep(max(0.0, round_ends - time.monotonic()))

    _together(step)
    return rounds * len(workers)


def execute_all(backend: Backend, count: int, pool: str) -> None:
    """Empty a pool's queue with so many workers."""
    workers = [Simulated(backend, n, pool) for n in range(count)]

    def step(number: int) -> None:
        for worker in workers[number::THREADS]:
            worker.report()
        is_busy = True
        while is_busy:
            found = [worker.execute_one() for worker in workers[number::THREADS]]
            is_busy = any(found)

    _together(step)


def _together(step: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=step, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _function(number: int) -> FunctionRecord:
    return FunctionRecord(name=f"train_{number}", pool="idle", description="Trains a model of its own.")
