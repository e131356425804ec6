"""The doorbell: an idle consumer of Dramatiq's wakes up when a message comes, instead of polling.

Beside Dramatiq's own keys each queue has a *doorbell*, a list at `<namespace>:<queue>.bell` on which
idle consumers block. It says only "look again": a ring that is lost, or one too many, costs a look.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message

#: An idle consumer looks this often without being rung for. Below redis-py's socket timeout, or the
#: abandoned call would swallow a ring; and each look is a heartbeat.
_LOOK_SECONDS = 1.0
_BELL_RINGS, _BELL_SECONDS = 100, 60  #: what is kept of rings that nobody waited for
_MAINTENANCE_SECONDS = 5.0  #: how often a consumer looks for messages of dead workers


class DoorbellBroker(RedisBroker):
    """Dramatiq's broker, whose idle consumers wake up when a message comes instead of polling."""

    on_idle: Callable[[str], None] | None = None  #: called with a queue's name when nothing of it is here
    #: Called with the name of an actor that is not declared and the id of the run that its message speaks of:
    #: the last moment to declare it. Dramatiq would put the message among the dead ones.
    on_unknown: Callable[[str, str], None] | None = None
    is_leaving = False  #: its worker ends: takes no more, and waits no longer for a Redis that is away
    _maintenance = threading.local()  #: a consumer is a thread of its own, and reads one queue

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        return DoorbellConsumer

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """As Dramatiq's; then rings."""
        enqueued = super().enqueue(message, delay=delay)
        self.ring(enqueued.queue_name)
        return enqueued

    def ring(self, queue_name: str) -> None:
        """Wake one idle consumer, now or as soon as one is idle."""
        bell = self.bell(queue_name)
        # The message is in its list already: unheard, it is found a second later.
        with contextlib.suppress(redis.RedisError), self.client.pipeline(transaction=False) as pipe:
            pipe.rpush(bell, 1)
            pipe.ltrim(bell, -_BELL_RINGS, -1)
            pipe.expire(bell, _BELL_SECONDS)
            pipe.execute()

    def bell(self, queue_name: str) -> str:
        """The key of a queue's doorbell."""
        return f"{self.namespace}:{queue_name}.bell"

    def _should_do_maintenance(self, command: str) -> int:
        """By the clock: Dramatiq throws dice per command, and an idle consumer now sends few of them."""
        due_at = getattr(self._maintenance, "due_at", 0.0)
        if command != "fetch" or time.monotonic() < due_at:
            return 0
        self._maintenance.due_at = time.monotonic() + _MAINTENANCE_SECONDS
        return 1


class DoorbellConsumer(_RedisConsumer):
    """Blocks on the doorbell while there is no message, and on its own threads while all are busy."""

    def __init__(self, broker: DoorbellBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        del timeout
        super().__init__(broker, queue_name, prefetch, 0)  # type: ignore[no-untyped-call]  # 0: never sleep
        self._freed = threading.Event()

    def __next__(self) -> Any:
        self._freed.clear()
        if self.broker.is_leaving and self.queue_name in self.broker.get_declared_queues():
            self.prefetch = 0  # what comes now is for others; delayed messages have a queue beside these
        is_full = self.outstanding_message_count >= self.prefetch  # only this thread makes it grow
        message = super().__next__()  # type: ignore[no-untyped-call]
        if message is None:
            if self.broker.on_idle is not None and self.outstanding_message_count == 0:
                self.broker.on_idle(self.queue_name)
            self._wait(is_full)
        elif self.broker.on_unknown is not None and message.actor_name not in self.broker.actors:
            self.broker.on_unknown(message.actor_name, message.args[0])
        return message

    def ack(self, message: Any) -> None:
        self._say(super().ack, message)

    def nack(self, message: Any) -> None:
        self._say(super().nack, message)

    def _say(self, answer: Callable[[Any], None], message: Any) -> None:
        try:
            answer(message)
        except ConnectionClosed:
            if not self.broker.is_leaving:  # else what it leaves unsaid is said by its silence
                raise  # Dramatiq tries again, until Redis is back
        self._freed.set()

    def requeue(self, messages: Iterable[Any]) -> None:
        given = list(messages)
        super().requeue(given)  # type: ignore[no-untyped-call]
        for _ in given:
            self.broker.ring(self.queue_name)

    def _wait(self, is_full: bool) -> None:
        if is_full:
            self._freed.wait(_LOOK_SECONDS)
            return
        try:
            self.broker.client.blpop([self.broker.bell(self.queue_name)], timeout=_LOOK_SECONDS)
        except redis.RedisError as exc:
            raise ConnectionClosed(exc) from None  # type: ignore[no-untyped-call]


__all__ = ["DoorbellBroker", "DoorbellConsumer"]
