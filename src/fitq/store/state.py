"""What changes, in Redis or Valkey. Key layout: `store/keys.py`.

A run is one JSON string beside the sorted sets that index it. Both change together in one Lua
script, and only over the version the caller read (`sequence`), so no reader sees a run in two lists.
"""

from __future__ import annotations

import json
import secrets
from typing import cast

import redis

from fitq.records import (
    FunctionCode,
    FunctionRecord,
    MetricPoint,
    PoolSettings,
    RunRecord,
    RunStatus,
    WorkerRecord,
    from_kept_json,
    to_json,
)
from fitq.store import scripts
from fitq.store.keys import StateKeys
from fitq.store.protocols import Lease, LeaseEnd, PoolLoad, Restoring, Writer
from fitq.store.redis_client import translated

#: Whoever fills the store says so again within this time, or has died.
_RESTORING_SECONDS = 60


class RedisState:
    """A `StateStore`."""

    def __init__(self, client: redis.Redis, workspace: str) -> None:
        self._redis = client
        self._keys = StateKeys(workspace)
        self._add = client.register_script(scripts.ADD)
        self._replace = client.register_script(scripts.REPLACE)
        self._renew = client.register_script(scripts.RENEW)
        self._lead = client.register_script(scripts.LEAD)
        self._append_log = client.register_script(scripts.APPEND_LOG)
        self._append_metrics = client.register_script(scripts.APPEND_METRICS)

    @translated
    def ping(self) -> None:
        self._redis.ping()

    @translated
    def add_run(self, run: RunRecord) -> bool:
        k = self._keys
        keys = [
            k.run(run.id),
            k.runs(),
            k.runs_by_status(run.status),
            k.runs_by_experiment(run.experiment),
            k.runs_of_pool(run.pool, run.status),
            k.experiments(),
            k.pool_names(),
        ]
        args: list[bytes | str | float] = [to_json(run), run.id, _score(run), run.experiment, run.pool]
        return bool(self._add(keys, args))

    @translated
    def get_run(self, run_id: str) -> RunRecord | None:
        data = cast(bytes | None, self._redis.get(self._keys.run(run_id)))
        return None if data is None else from_kept_json(data, RunRecord)

    @translated
    def replace_run(self, run: RunRecord, *, claimed_as: str = "") -> bool:
        k = self._keys
        keys = [k.run(run.id), k.runs_by_status(""), k.runs_of_pool(run.pool, "")]
        args: list[bytes | str | float] = [
            to_json(run), run.id, _score(run), run.sequence - 1, run.status.value, claimed_as,
        ]  # fmt: skip
        return bool(self._replace(keys, args))

    @translated
    def list_runs(
        self,
        *,
        experiment: str | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> list[RunRecord]:
        if experiment is not None and status is not None:
            ids = self._both(experiment, status, newest_first)[offset : offset + limit]
        else:
            key = self._index(experiment, status)
            ids = cast(
                list[bytes],
                self._redis.zrange(key, offset, offset + limit - 1, desc=newest_first),
            )
        if not ids:
            return []
        found = cast(list[bytes | None], self._redis.mget(self._keys.run(i.decode()) for i in ids))
        return [from_kept_json(data, RunRecord) for data in found if data is not None]

    def _index(self, experiment: str | None, status: RunStatus | None) -> str:
        if experiment is not None:
            return self._keys.runs_by_experiment(experiment)
        return self._keys.runs() if status is None else self._keys.runs_by_status(status)

    def _both(self, experiment: str, status: RunStatus, newest_first: bool) -> list[bytes]:
        keys = {self._keys.runs_by_experiment(experiment): 1, self._keys.runs_by_status(status): 0}
        ids = cast(list[bytes], self._redis.zinter(keys))
        return ids[::-1] if newest_first else ids

    @translated
    def run_ids(self) -> set[str]:
        return {i.decode() for i in cast(list[bytes], self._redis.zrange(self._keys.runs(), 0, -1))}

    @translated
    def count_runs(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        if experiment is not None and status is not None:
            return len(self._both(experiment, status, newest_first=True))
        return self._redis.zcard(self._index(experiment, status))

    @translated
    def pool_load(self) -> dict[str, PoolLoad]:
        names = sorted(n.decode() for n in cast(set[bytes], self._redis.smembers(self._keys.pool_names())))
        return {name: self._load_of(name) for name in names}

    def _load_of(self, pool: str) -> PoolLoad:
        queued_key = self._keys.runs_of_pool(pool, RunStatus.QUEUED)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zcard(queued_key)
            pipe.zrange(queued_key, 0, 0, withscores=True)
            for status in RunStatus:
                if status is not RunStatus.QUEUED and not status.is_final:
                    pipe.zcard(self._keys.runs_of_pool(pool, status))
            queued, oldest, *held = pipe.execute()
        return PoolLoad(queued, sum(held), oldest[0][1] if oldest else None)

    @translated
    def list_experiments(self) -> list[str]:
        names = cast(list[bytes], self._redis.zrange(self._keys.experiments(), 0, -1, desc=True))
        return [n.decode() for n in names]

    @translated
    def append_log(self, run_id: str, data: bytes, *, of: Writer | None = None) -> int:
        key = self._keys.log(run_id)
        if of is None:
            return self._redis.append(key, data)
        return int(self._append_log([self._keys.run(run_id), key], [*of, data]))

    @translated
    def read_log(self, run_id: str, offset: int, limit: int) -> bytes:
        found = self._redis.getrange(self._keys.log(run_id), offset, offset + limit - 1)
        return cast(bytes, found)

    @translated
    def log_size(self, run_id: str) -> int:
        return self._redis.strlen(self._keys.log(run_id))

    @translated
    def append_metrics(self, run_id: str, points: list[MetricPoint], *, of: Writer | None = None) -> int:
        key, lines = self._keys.metrics(run_id), [to_json(point) for point in points]
        if of is None:
            return self._redis.rpush(key, *lines) if lines else self._redis.llen(key)
        return int(self._append_metrics([self._keys.run(run_id), key], [*of, *lines]))

    @translated
    def read_metrics(self, run_id: str) -> list[MetricPoint]:
        lines = cast(list[bytes], self._redis.lrange(self._keys.metrics(run_id), 0, -1))
        return [from_kept_json(line, MetricPoint) for line in lines]

    @translated
    def drop_live(self, run_id: str, *, lease: Lease | None = None) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.delete(self._keys.log(run_id), self._keys.metrics(run_id))
            if lease is not None:
                pipe.zrem(self._keys.leases(), _member(lease))
            pipe.execute()

    @translated
    def remember_once(self, digest: str, run_id: str, seconds: int) -> str:
        key = self._keys.idempotency(digest)
        before = self._redis.set(key, run_id, nx=True, get=True, ex=seconds)
        return run_id if before is None else cast(bytes, before).decode()

    @translated
    def publish_functions(self, pool: str, functions: list[FunctionRecord]) -> None:
        key = self._keys.functions()
        stale = [f for f in self._hash(key) if f.startswith(f"{pool}/")]
        with self._redis.pipeline(transaction=True) as pipe:
            if stale:
                pipe.hdel(key, *stale)
            if functions:
                pipe.hset(key, mapping={f"{pool}/{f.name}": to_json(f) for f in functions})
            pipe.execute()

    @translated
    def list_functions(self) -> list[FunctionRecord]:
        found = [from_kept_json(v, FunctionRecord) for v in self._hash(self._keys.functions()).values()]
        return sorted(found, key=lambda f: (f.pool, f.name))

    @translated
    def put_pool(self, name: str, settings: PoolSettings) -> None:
        self._redis.hset(self._keys.pools(), name, to_json(settings))

    @translated
    def drop_pool(self, name: str) -> None:
        self._redis.hdel(self._keys.pools(), name)

    @translated
    def list_pools(self) -> dict[str, PoolSettings]:
        found = self._hash(self._keys.pools())
        return {name: from_kept_json(data, PoolSettings) for name, data in found.items()}

    @translated
    def put_published(self, code: FunctionCode) -> None:
        self._redis.hset(self._keys.published(), code.name, to_json(code))

    @translated
    def drop_published(self, name: str) -> None:
        self._redis.hdel(self._keys.published(), name)

    @translated
    def list_published(self) -> list[FunctionCode]:
        found = [from_kept_json(v, FunctionCode) for v in self._hash(self._keys.published()).values()]
        return sorted(found, key=lambda c: c.name)

    @translated
    def report_worker(self, worker: WorkerRecord) -> None:
        self._redis.hset(self._keys.workers(), worker.id, to_json(worker))

    @translated
    def forget_worker(self, worker_id: str) -> None:
        self._redis.hdel(self._keys.workers(), worker_id)

    @translated
    def list_workers(self) -> list[WorkerRecord]:
        found = [from_kept_json(v, WorkerRecord) for v in self._hash(self._keys.workers()).values()]
        return sorted(found, key=lambda w: w.id)

    @translated
    def renew_leases(self, leases: list[Lease], seconds: float) -> None:
        if leases:
            self._renew([self._keys.leases()], [seconds, *map(_member, leases)])

    @translated
    def list_leases(self) -> dict[Lease, LeaseEnd]:
        whole, micro = self._redis.time()
        here = whole + micro / 1e6
        found = cast(
            list[tuple[bytes, float]], self._redis.zrange(self._keys.leases(), 0, -1, withscores=True)
        )
        return {_lease(member): LeaseEnd(ends, ends - here) for member, ends in found}

    @translated
    def drop_lease(self, lease: Lease) -> None:
        self._redis.zrem(self._keys.leases(), _member(lease))

    @translated
    def lead(self, candidate: str, seconds: float) -> bool:
        return bool(self._lead([self._keys.leader()], [candidate, int(seconds * 1000)]))

    @translated
    def leader(self) -> str | None:
        found = cast(bytes | None, self._redis.get(self._keys.leader()))
        return None if found is None else found.decode()

    @translated
    def epoch(self) -> str:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._keys.epoch(), secrets.token_hex(4), nx=True)
            pipe.get(self._keys.epoch())
            return str(pipe.execute()[1].decode())

    @translated
    def note_whole(self) -> None:
        self._redis.set(self._keys.whole(), 1)

    @translated
    def is_whole(self) -> bool:
        return bool(self._redis.exists(self._keys.whole()))

    @translated
    def note_restoring(self, progress: Restoring | None) -> None:
        key = self._keys.restoring()
        if progress is None:
            self._redis.delete(key)
        else:
            self._redis.set(key, to_json(progress), ex=_RESTORING_SECONDS)

    @translated
    def restoring(self) -> Restoring | None:
        found = cast(bytes | None, self._redis.get(self._keys.restoring()))
        return None if found is None else Restoring(*json.loads(found))

    def _hash(self, key: str) -> dict[str, bytes]:
        found = cast(dict[bytes, bytes], self._redis.hgetall(key))
        return {name.decode(): value for name, value in found.items()}


def _member(lease: Lease) -> str:
    return f"{lease.run_id}|{lease.attempt_id}"


def _lease(member: bytes) -> Lease:
    run_id, _, attempt_id = member.decode().rpartition("|")
    return Lease(run_id, attempt_id)


def _score(run: RunRecord) -> float:
    return run.created_at.timestamp()


__all__ = ["RedisState"]
