"""The queue: Dramatiq on Redis, with everything it would decide for us spelled out.

One message carries one run id, for the actor named after the training function, on the queue named
after the pool. A message is only a wake-up: the run's record decides whether anything happens, so a
message that arrives twice changes nothing and user failures are never retried from here.

Milliseconds exist only in this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware

from fitq.doorbell import DoorbellBroker
from fitq.store.redis_client import connect, translated

#: Dramatiq's defaults would stop a run after 10 minutes (TimeLimit), run a failed one 20 more times
#: (Retries) and drop old messages (AgeLimit). None of them belongs to training.
_MIDDLEWARE: list[Middleware] = []
#: Nobody is taken for dead sooner, however short leases are: some looks may come late.
_SILENCE_SECONDS = 5.0

#: KEYS: the workers' heartbeats, the queue   ARGV: what the sets of fetched messages begin with, the queue's
#: name, message ids. Whoever fetched a message has it in a set until it says that it is done.
_PUT_BACK = """
local count = 0
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local fetched = ARGV[1] .. worker .. '.' .. ARGV[2]
  for i = 3, #ARGV do
    if redis.call('SREM', fetched, ARGV[i]) == 1 then
      redis.call('RPUSH', KEYS[2], ARGV[i])
      count = count + 1
    end
  end
end
return count
"""


class Messages(NamedTuple):
    """What a pool's messages speak of."""

    waiting: set[str]  #: runs of those that no worker has fetched
    fetched: dict[str, str]  #: run → message that one has fetched


class Queue:
    """Sends run ids to pools and counts what waits."""

    def __init__(self, broker: RedisBroker, client: redis.Redis) -> None:
        self.broker = broker
        self._redis = client
        self._put_back = client.register_script(_PUT_BACK)

    def when_idle(self, call: Callable[[str], None]) -> None:
        """From now on a consumer that finds nothing, and has nothing, calls this with its queue's name."""
        if isinstance(self.broker, DoorbellBroker):
            self.broker.on_idle = call

    def when_unknown(self, call: Callable[[str, str], None]) -> None:
        """From now on this is called before a message for an actor that is not declared is given up."""
        if isinstance(self.broker, DoorbellBroker):
            self.broker.on_unknown = call

    @translated
    def send(self, *, pool: str, actor: str, run_id: str) -> None:
        """Wake one worker of a pool for one run."""
        self.broker.enqueue(
            dramatiq.Message(queue_name=pool, actor_name=actor, args=(run_id,), kwargs={}, options={})
        )

    @translated
    def messages(self, pool: str) -> Messages:
        """The runs for which there are messages."""
        queue = f"{self.broker.namespace}:{pool}"
        bodies = cast(dict[bytes, bytes], self._redis.hgetall(f"{queue}.msgs"))
        in_line = set(cast(list[bytes], self._redis.lrange(queue, 0, -1)))
        found = Messages(set(), {})
        for message_id, body in bodies.items():
            run_id = str(dramatiq.Message.decode(body).args[0])
            if message_id in in_line:
                found.waiting.add(run_id)
            else:
                found.fetched[run_id] = message_id.decode()
        return found

    @translated
    def put_back(self, pool: str, message_ids: list[str]) -> int:
        """Have messages fetched again that a worker has fetched; returns how many.

        An answer may be lost after Redis made the message its worker's: while that lives, nobody else gets
        it. A worker that did hear of it loses nothing, for the second one finds the run taken.
        """
        namespace = self.broker.namespace
        keys = [f"{namespace}:__heartbeats__", f"{namespace}:{pool}"]
        count = int(self._put_back(keys, [f"{namespace}:__acks__.", pool, *message_ids]))
        for _ in range(count if isinstance(self.broker, DoorbellBroker) else 0):
            self.broker.ring(pool)
        return count

    @translated
    def count(self, pool: str) -> int:
        """Messages that there are, fetched by a worker or not."""
        return self._redis.hlen(f"{self.broker.namespace}:{pool}.msgs")

    @translated
    def depth(self, pool: str) -> int:
        """Messages that no worker has fetched yet."""
        return int(self._redis.llen(f"{self.broker.namespace}:{pool}"))


def namespace_of(workspace: str) -> str:
    """Dramatiq's prefix in Redis. Workspaces on one Redis must not read each other's messages."""
    return "dramatiq" if workspace == "default" else f"dramatiq-{workspace}"


def open_queue(
    redis_url: str, workspace: str, extra: list[Middleware] | None = None, *, lease_seconds: float = 15.0
) -> Queue:
    """A workspace's queue on the Redis at `redis_url`; `extra` middleware is the worker's.

    Args:
        lease_seconds: messages of a worker that was silent for so long come back at the next maintenance.
    """
    client = connect(redis_url)
    broker = DoorbellBroker(  # type: ignore[no-untyped-call]  # dramatiq leaves it unannotated
        client=client,
        namespace=namespace_of(workspace),
        middleware=[*_MIDDLEWARE, *(extra or [])],
        heartbeat_timeout=int(max(lease_seconds, _SILENCE_SECONDS) * 1000),
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
    if isinstance(worker.broker, DoorbellBroker):
        worker.broker.is_leaving = True
    worker.stop(timeout=int(seconds * 1000))


class NullQueue(Queue):
    """Remembers what was sent; for unit tests of rules."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    def send(self, *, pool: str, actor: str, run_id: str) -> None:
        self.sent.append((pool, actor, run_id))

    def messages(self, pool: str) -> Messages:
        return Messages({run_id for p, _, run_id in self.sent if p == pool}, {})

    def count(self, pool: str) -> int:
        return self.depth(pool)

    def depth(self, pool: str) -> int:
        return sum(1 for p, _, _ in self.sent if p == pool)


__all__ = ["NullQueue", "Queue", "open_queue", "start_worker", "stop_worker"]
