"""Rules of pools: who reads which queue, what waits there, and which functions they know."""

from __future__ import annotations

from datetime import timedelta

from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound
from fitq.names import check_name, did_you_mean
from fitq.records import (
    FunctionRecord,
    PoolRecord,
    PoolSettings,
    RunRecord,
    RunStatus,
    WorkerRecord,
    now,
)

#: A worker reports every 2 s; one that has missed five reports is taken for dead.
REPORT_SECONDS = 2.0
_ALIVE = timedelta(seconds=5 * REPORT_SECONDS)


def live_workers(backend: Backend) -> list[WorkerRecord]:
    """Workers that reported lately. Long dead ones are forgotten on the way."""
    alive = []
    for worker in backend.state.list_workers():
        age = now() - worker.seen_at
        if age <= _ALIVE:
            alive.append(worker)
        elif age > timedelta(hours=1):
            backend.state.forget_worker(worker.id)
    return alive


def live_functions(backend: Backend) -> list[FunctionRecord]:
    """Functions that were published by pools; they stay known while a pool is at zero workers."""
    return backend.state.list_functions()


def list_pools(backend: Backend) -> list[PoolRecord]:
    """Every pool that has settings, workers, functions or runs."""
    settings = backend.state.list_pools()
    workers = live_workers(backend)
    queued = _unfinished(backend, RunStatus.QUEUED)
    running = [
        run
        for status in (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.FINALIZING)
        for run in _unfinished(backend, status)
    ]
    names = {"default", *settings, *(f.pool for f in live_functions(backend))}
    names |= {w.pool for w in workers} | {r.pool for r in queued + running}
    return [
        _pool(name, settings.get(name, PoolSettings()), workers, queued, running) for name in sorted(names)
    ]


def _unfinished(backend: Backend, status: RunStatus) -> list[RunRecord]:
    return backend.state.list_runs(status=status, newest_first=False, limit=100_000)


def _pool(
    name: str,
    settings: PoolSettings,
    workers: list[WorkerRecord],
    queued: list[RunRecord],
    running: list[RunRecord],
) -> PoolRecord:
    waiting = [r for r in queued if r.pool == name]
    oldest = min((r.created_at for r in waiting), default=None)
    return PoolRecord(
        name=name,
        queued=len(waiting),
        running=sum(r.pool == name for r in running),
        workers=sum(w.pool == name for w in workers),
        min_workers=settings.min_workers,
        max_workers=settings.max_workers,
        idle_seconds=settings.idle_seconds,
        oldest_queued_seconds=None if oldest is None else round((now() - oldest).total_seconds(), 3),
    )


def find_pool(backend: Backend, name: str) -> PoolRecord:
    """One pool.

    Raises:
        NotFound: nothing and nobody uses that name.
    """
    check_name("pool", name)
    known = {p.name: p for p in list_pools(backend)}
    if name not in known:
        raise NotFound(
            f"There is no pool {name!r}. {did_you_mean(name, known)}".strip(),
            hint=f"Start a worker for it: fitq up --pool {name}=1, or FITQ_POOL={name} fitq worker.",
            pools=sorted(known),
        )
    return known[name]


def configure(backend: Backend, name: str, settings: PoolSettings) -> PoolRecord:
    """Say how many workers a pool should have."""
    check_name("pool", name)
    most = settings.max_workers
    if settings.min_workers < 0 or (most is not None and most < settings.min_workers):
        raise InvalidRequest(
            "A pool needs 0 ≤ min_workers ≤ max_workers.", at="min_workers", got=settings.min_workers
        )
    backend.state.put_pool(name, settings)
    return find_pool(backend, name)
