"""Both stores in memory, for unit tests: the same behaviour, no server, gone with the process."""

from __future__ import annotations

import builtins
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

from fitq.records import (
    FunctionCode,
    FunctionRecord,
    MetricPoint,
    PoolSettings,
    RunRecord,
    RunStatus,
    WorkerRecord,
)
from fitq.store.protocols import Lease, LeaseEnd, ObjectInfo, PoolLoad, Restoring, Tagged, Writer


class MemoryState:
    """A `StateStore`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, RunRecord] = {}
        self._logs: dict[str, bytes] = {}
        self._metrics: dict[str, list[MetricPoint]] = {}
        self._once: dict[str, str] = {}
        self._functions: dict[str, list[FunctionRecord]] = {}
        self._pools: dict[str, PoolSettings] = {}
        self._published: dict[str, FunctionCode] = {}
        self._workers: dict[str, WorkerRecord] = {}
        self._leases: dict[Lease, float] = {}
        self._leader = ("", 0.0)
        self._epoch, self._whole = secrets.token_hex(4), False
        self._restoring: Restoring | None = None

    def ping(self) -> None:
        return None

    def add_run(self, run: RunRecord) -> bool:
        with self._lock:
            return self._runs.setdefault(run.id, run) is run

    def get_run(self, run_id: str) -> RunRecord | None:
        return self._runs.get(run_id)

    def replace_run(self, run: RunRecord, *, claimed_as: str = "") -> bool:
        with self._lock:
            current = self._runs.get(run.id)
            if current == run:
                return True
            if current is None or current.sequence != run.sequence - 1:
                return False
            if claimed_as not in ("", current.claim_id):
                return False
            self._runs[run.id] = run
            return True

    def _select(self, experiment: str | None, status: RunStatus | None) -> list[RunRecord]:
        return [
            r
            for r in self._runs.values()
            if experiment in (None, r.experiment) and status in (None, r.status)
        ]

    def list_runs(
        self,
        *,
        experiment: str | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> list[RunRecord]:
        found = self._select(experiment, status)
        found.sort(key=lambda r: (r.created_at, r.id), reverse=newest_first)
        return found[offset : offset + limit]

    def run_ids(self) -> set[str]:
        return set(self._runs)

    def count_runs(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        return len(self._select(experiment, status))

    def pool_load(self) -> dict[str, PoolLoad]:
        return {pool: self._load_of(pool) for pool in {r.pool for r in self._runs.values()}}

    def _load_of(self, pool: str) -> PoolLoad:
        mine = [r for r in self._runs.values() if r.pool == pool and not r.status.is_final]
        queued = [r.created_at.timestamp() for r in mine if r.status is RunStatus.QUEUED]
        return PoolLoad(len(queued), len(mine) - len(queued), min(queued, default=None))

    def list_experiments(self) -> list[str]:
        runs = self.list_runs(newest_first=False, limit=10**9)
        newest = {r.experiment: r.created_at for r in runs}
        return sorted(newest, key=lambda name: newest[name], reverse=True)

    def append_log(self, run_id: str, data: bytes, *, of: Writer | None = None) -> int:
        with self._lock:
            log = self._logs.get(run_id, b"")
            if self._may_write(run_id, len(log), of):
                log = self._logs[run_id] = log + data
            return len(log)

    def _may_write(self, run_id: str, length: int, of: Writer | None) -> bool:
        run = self._runs.get(run_id)
        if of is None:
            return True
        return run is not None and not run.status.is_final and of == (run.claim_id, length)

    def read_log(self, run_id: str, offset: int, limit: int) -> bytes:
        return self._logs.get(run_id, b"")[offset : offset + limit]

    def log_size(self, run_id: str) -> int:
        return len(self._logs.get(run_id, b""))

    def append_metrics(self, run_id: str, points: list[MetricPoint], *, of: Writer | None = None) -> int:
        with self._lock:
            kept = self._metrics.get(run_id, [])
            if self._may_write(run_id, len(kept), of):
                kept = self._metrics[run_id] = [*kept, *points]
            return len(kept)

    def read_metrics(self, run_id: str) -> list[MetricPoint]:
        return list(self._metrics.get(run_id, []))

    def drop_live(self, run_id: str, *, lease: Lease | None = None) -> None:
        if lease is not None:
            self.drop_lease(lease)
        self._logs.pop(run_id, None)
        self._metrics.pop(run_id, None)

    def remember_once(self, digest: str, run_id: str, seconds: int) -> str:  # noqa: ARG002
        with self._lock:
            return self._once.setdefault(digest, run_id)

    def publish_functions(self, pool: str, functions: list[FunctionRecord]) -> None:
        self._functions[pool] = functions

    def list_functions(self) -> list[FunctionRecord]:
        found = [f for functions in self._functions.values() for f in functions]
        return sorted(found, key=lambda f: (f.pool, f.name))

    def put_pool(self, name: str, settings: PoolSettings) -> None:
        self._pools[name] = settings

    def drop_pool(self, name: str) -> None:
        self._pools.pop(name, None)

    def list_pools(self) -> dict[str, PoolSettings]:
        return dict(self._pools)

    def put_published(self, code: FunctionCode) -> None:
        self._published[code.name] = code

    def drop_published(self, name: str) -> None:
        self._published.pop(name, None)

    def list_published(self) -> list[FunctionCode]:
        return sorted(self._published.values(), key=lambda c: c.name)

    def report_worker(self, worker: WorkerRecord) -> None:
        self._workers[worker.id] = worker

    def forget_worker(self, worker_id: str) -> None:
        self._workers.pop(worker_id, None)

    def list_workers(self) -> list[WorkerRecord]:
        return sorted(self._workers.values(), key=lambda w: w.id)

    def renew_leases(self, leases: list[Lease], seconds: float) -> None:
        self._leases |= dict.fromkeys(leases, time.monotonic() + seconds)

    def list_leases(self) -> dict[Lease, LeaseEnd]:
        here = time.monotonic()
        return {lease: LeaseEnd(ends, ends - here) for lease, ends in self._leases.items()}

    def drop_lease(self, lease: Lease) -> None:
        self._leases.pop(lease, None)

    def lead(self, candidate: str, seconds: float) -> bool:
        with self._lock:
            leader, until = self._leader
            if leader not in ("", candidate) and until > time.monotonic():
                return False
            self._leader = (candidate, time.monotonic() + seconds)
            return True

    def leader(self) -> str | None:
        leader, until = self._leader
        return leader if until > time.monotonic() else None

    def epoch(self) -> str:
        return self._epoch

    def note_whole(self) -> None:
        self._whole = True

    def is_whole(self) -> bool:
        return self._whole

    def note_restoring(self, progress: Restoring | None) -> None:
        self._restoring = progress

    def restoring(self) -> Restoring | None:
        return self._restoring


class MemoryObjects:
    """An `ObjectStore`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}

    def ping(self, key: str) -> None:  # noqa: ARG002
        return None

    def ensure_bucket(self) -> None:
        return None

    def put(self, key: str, data: bytes | BinaryIO, size_bytes: int | None = None) -> None:
        self._objects[key] = data if isinstance(data, bytes) else data.read(size_bytes or -1)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = data
            return True

    def put_if_same(self, key: str, data: bytes, tag: str) -> bool:
        with self._lock:
            if key not in self._objects or _tag_of(self._objects[key]) != tag:
                return False
            self._objects[key] = data
            return True

    def get(self, key: str) -> bytes | None:
        return self._objects.get(key)

    def get_tagged(self, key: str) -> Tagged | None:
        data = self._objects.get(key)
        return None if data is None else Tagged(data, _tag_of(data))

    def open(self, key: str) -> Iterator[bytes] | None:
        data = self._objects.get(key)
        return None if data is None else iter([data])

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        data = self._objects.get(key)
        return None if data is None else data[offset : offset + length]

    def size(self, key: str) -> int | None:
        data = self._objects.get(key)
        return None if data is None else len(data)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        keys = sorted(k for k in self._objects if k.startswith(prefix))
        return iter([ObjectInfo(k, len(self._objects[k])) for k in keys])

    def list_folders(self, prefix: str) -> builtins.list[str]:
        below = (k[len(prefix) :] for k in self._objects if k.startswith(prefix))
        return sorted({rest.split("/", 1)[0] for rest in below if "/" in rest})

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)


def _tag_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
