"""Rules of pools: who reads which queue, what waits there, and which functions they know."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec

from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound
from fitq.names import check_name, did_you_mean
from fitq.records import (
    FunctionRecord,
    PoolRecord,
    PoolSettings,
    WorkerRecord,
    from_kept_json,
    now,
    to_json,
    version_of,
)
from fitq.revisions import check_revision, revise, revision_of
from fitq.store.protocols import PoolLoad

#: A worker reports every 2 s; one that has missed five reports is taken for dead.
REPORT_SECONDS = 2.0
#: More workers in one pool than anybody means: a number mistyped is refused, not obeyed.
MOST_WORKERS = 10_000
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
    """Every pool that has settings, workers, functions, ever had a run, or is scaled by something else: that
    asks for its demand before anybody else knows of it."""
    settings = backend.state.list_pools()
    alive = live_workers(backend)
    workers = Counter(w.pool for w in alive)
    loads = backend.state.pool_load()
    functions = live_functions(backend)
    unlisted = _with_unlisted_functions(backend, functions)
    used = {*settings, *loads, *workers, *unlisted, *(f.pool for f in functions)}
    names = {"default", *backend.scaled_pools, *used}
    return [
        _as_workers_have_it(
            _pool(
                name,
                settings.get(name, PoolSettings()),
                loads.get(name, _IDLE),
                workers[name],
                name in unlisted,
                {f.name: f.problem for f in functions if f.pool == name and f.error},
            ),
            [w for w in alive if w.pool == name],
        )
        for name in sorted(names)
    ]


def _with_unlisted_functions(backend: Backend, functions: list[FunctionRecord]) -> set[str]:
    """Pools that need a worker although nothing is queued: none has looked at code that was published, or,
    where something else starts them, none has told what it can run."""
    listed = {(f.pool, f.name, version_of(f.snapshot, f.environment)) for f in functions}
    codes = backend.state.list_published()
    unlisted = {code.pool for code in codes if (code.pool, code.name, code.current.id) not in listed}
    return unlisted | (backend.scaled_pools - {f.pool for f in functions})


_IDLE = PoolLoad(queued=0, running=0, oldest_queued_at=None)


def _pool(
    name: str,
    settings: PoolSettings,
    load: PoolLoad,
    workers: int,
    has_unlisted: bool,
    broken: dict[str, str],
) -> PoolRecord:
    oldest = load.oldest_queued_at
    return PoolRecord(
        name=name,
        queued=load.queued,
        running=load.running,
        workers=workers,
        min_workers=settings.min_workers,
        max_workers=settings.max_workers,
        idle_seconds=settings.idle_seconds,
        secrets=settings.secrets,
        demand=load.queued + load.running + has_unlisted,
        oldest_queued_seconds=None if oldest is None else round(now().timestamp() - oldest, 3),
        broken=broken,
    )


def _as_workers_have_it(pool: PoolRecord, workers: list[WorkerRecord]) -> PoolRecord:
    """What holds whichever of the workers executes a run: rungs, secrets."""
    missing = {rung: reason for w in workers for rung, reason in w.not_isolated.items()}
    common = [r for r in (workers[0].isolation if workers else []) if r not in missing]
    problem = next((f"{w.id}: {w.problem}" for w in workers if w.problem), "")
    return msgspec.structs.replace(
        pool,
        isolation=common,
        not_isolated=missing,
        problem=problem,
        offered_secrets=_offered(pool.secrets, workers),
    )


def _offered(allowed: list[str] | None, workers: list[WorkerRecord]) -> list[str]:
    """What every worker has, as far as it is allowed."""
    had = set.intersection(*(set(w.secrets) for w in workers)) if workers else set()
    return sorted(had if allowed is None else had.intersection(allowed))


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
            hint=f"It gets a worker so: {backend.worker_for(name)}",
            pools=sorted(known),
        )
    return known[name]


def configure(
    backend: Backend, name: str, settings: PoolSettings, *, expected: str | None = None
) -> PoolRecord:
    """Say how many workers a pool should have.

    Raises:
        InvalidRequest: fewer than none, or more than the most.
        Outdated: the settings have another revision than the expected one.
    """
    check_settings(name, settings)
    key, what = backend.keys.pool(name), f"Pool {name!r}"
    revise(backend.objects, key, lambda _: to_json(settings), what=what, expected=expected)
    backend.state.put_pool(name, settings)
    return find_pool(backend, name)


def kept_settings(backend: Backend, name: str) -> tuple[PoolSettings | None, str]:
    """What was said about a pool, if anything was, and its revision."""
    data = backend.objects.get(backend.keys.pool(check_name("pool", name)))
    return (None if data is None else from_kept_json(data, PoolSettings)), revision_of(data)


def configured(backend: Backend) -> list[str]:
    """Names of the pools about which something was said."""
    prefix = backend.keys.pools()
    return [o.key[len(prefix) :].removesuffix(".json") for o in backend.objects.list(prefix)]


def forget_settings(backend: Backend, name: str, *, expected: str | None = None) -> None:
    """Take back what was said about a pool. Its runs and workers stay.

    Raises:
        Outdated: the settings have another revision than the expected one.
    """
    check_revision(f"Pool {name!r}", kept_settings(backend, name)[1], expected)
    backend.objects.delete(backend.keys.pool(name))
    backend.state.drop_pool(name)


def restore_settings(backend: Backend) -> None:
    """Tell Redis again what the object store knows about pools."""
    known = backend.state.list_pools()
    for name in configured(backend):
        settings, _ = kept_settings(backend, name)
        if settings is not None and known.get(name) != settings:
            backend.state.put_pool(name, settings)


def check_settings(name: str, settings: PoolSettings) -> None:
    """Refuse what `configure` refuses."""
    check_name("pool", name)
    most = settings.max_workers
    if not 0 <= settings.min_workers <= (MOST_WORKERS if most is None else most) <= MOST_WORKERS:
        raise InvalidRequest(
            f"A pool needs 0 ≤ min_workers ≤ max_workers ≤ {MOST_WORKERS}.",
            at="min_workers",
            got=[settings.min_workers, most],
        )
    if settings.idle_seconds < 0:
        raise InvalidRequest("idle_seconds must be 0 or more.", at="idle_seconds", got=settings.idle_seconds)
    for secret in settings.secrets or []:
        check_name("secret", secret)
