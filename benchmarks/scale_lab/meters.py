"""What two servers have done: commands, bytes and processor time of Redis, requests to the object store."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psutil
import redis

from fitq.local.objects import EmbeddedObjects
from fitq.local.redis import EmbeddedRedis


class Reading(NamedTuple):
    """Totals since the servers started."""

    commands: int
    bytes_in: int
    bytes_out: int
    redis_seconds: float  #: of a processor
    objects_seconds: float
    at: float

    def since(self, before: Reading) -> Reading:
        """What came in between."""
        return Reading(*(after - earlier for after, earlier in zip(self, before, strict=True)))


class Meters:
    """Reads both servers."""

    def __init__(self, redis_server: EmbeddedRedis, objects: EmbeddedObjects) -> None:
        self._client = redis.Redis.from_url(redis_server.url)
        self._processes = [psutil.Process(s.process.pid) for s in (redis_server, objects)]

    def read(self) -> Reading:
        told: dict[str, Any] = self._client.info("everything")
        used = [sum(process.cpu_times()[:2]) for process in self._processes]
        return Reading(
            told["total_commands_processed"], told["total_net_input_bytes"], told["total_net_output_bytes"],
            *used, time.perf_counter(),
        )  # fmt: skip

    def memory_bytes(self) -> int:
        """What Redis holds."""
        return int(self._client.info("memory")["used_memory"])


class Counted:
    """An object store that counts how it is asked."""

    def __init__(self, store: Any) -> None:
        self._store, self._lock = store, threading.Lock()
        self.calls: collections.Counter[str] = collections.Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._store, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls[name] += 1
            return call(*args, **kwargs)

        return counted
