"""The queue: Dramatiq on Redis, with everything it would decide for us spelled out.

One message carries one run id, for the actor named after the training function, on the queue named
after the pool. A message is only a wake-up: the run's record decides whether anything happens, so a
message that arrives twice changes nothing and user failures are never retried from here.

Milliseconds exist only in this file.
"""

from __future__ import annotations

from typing import Any, cast

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware

from fitq.store.state import connect, translated

#: Dramatiq's defaults would stop a run after 10 minutes (TimeLimit), run a failed one 20 more times
#: (Retries) and drop old messages (AgeLimit). None of them belongs to training.
_MIDDLEWARE: list[Middleware] = []


class Queue:
    """Sends run ids to pools and counts what waits."""

    def __init__(self, broker: RedisBroker, client: redis.Redis) -> None:
        self.broker = broker
        self._redis = client

    @translated
    def send(self, *, pool: str, actor: str, run_id: str) -> None:
        """Wake one worker of a pool for one run."""
        self.broker.enqueue(
            dramatiq.Message(queue_name=pool, actor_name=actor, args=(run_id,), kwargs={}, options={})
        )

    @translated
    def run_ids(self, pool: str) -> set[str]:
        """Runs for which there is a message, fetched by a worker or not."""
        bodies = cast(list[bytes], self._redis.hvals(f"{self.broker.namespace}:{pool}.msgs"))
        return {str(dramatiq.Message.decode(body).args[0]) for body in bodies}

    @translated
    def depth(self, pool: str) -> int:
        """Messages that no worker has fetched yet."""
        return int(self._redis.llen(f"{self.broker.namespace}:{pool}"))


def namespace_of(workspace: str) -> str:
    """Dramatiq's prefix in Redis. Workspaces on one Redis must not read each other's messages."""
    return "dramatiq" if workspace == "default" else f"dramatiq-{workspace}"


def open_queue(redis_url: str, workspace: str, extra: list[Middleware] | None = None) -> Queue:
    """A workspace's queue on the Redis at `redis_url`; `extra` middleware is the worker's."""
    client = connect(redis_url)
    broker = RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq leaves it unannotated
        client=client,
        namespace=namespace_of(workspace),
        middleware=[*_MIDDLEWARE, *(extra or [])],
        # A dead worker's messages come back within about half a minute, not by a rare lottery.
        heartbeat_timeout=15_000,
        maintenance_chance=10_000,
    )
    return Queue(broker, client)


def start_worker(broker: RedisBroker, *, pool: str, slots: int) -> dramatiq.Worker:
    """Consume a pool's queue with `slots` threads. Returns at once.

    Prefetch equals slots: with Dramatiq's default (twice as many) a busy worker hoards runs that an
    idle one could start.
    """
    worker = dramatiq.Worker(broker, queues={pool}, worker_timeout=100, worker_threads=slots)
    worker.queue_prefetch = slots
    worker.start()
    return worker


def stop_worker(worker: dramatiq.Worker, *, seconds: float) -> None:
    """Let threads finish for so long; unfinished messages go back to the queue."""
    worker.stop(timeout=int(seconds * 1000))


class NullQueue(Queue):
    """Remembers what was sent; for unit tests of rules."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    def send(self, *, pool: str, actor: str, run_id: str) -> None:
        self.sent.append((pool, actor, run_id))

    def run_ids(self, pool: str) -> set[str]:
        return {run_id for p, _, run_id in self.sent if p == pool}

    def depth(self, pool: str) -> int:
        return sum(1 for p, _, _ in self.sent if p == pool)


__all__: list[Any] = ["NullQueue", "Queue", "open_queue", "start_worker", "stop_worker"]
