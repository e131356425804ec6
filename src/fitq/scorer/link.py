"""One scorer child from its start to its end, and the requests in flight to it.

They travel in order and are answered in order. Whatever is in flight when the child ends gets `Unavailable`.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.scorer import child as frames
from fitq.scorer import process

log = get_logger(__name__)
#: Requests that may wait in one child. More than it answers in a second or two only grows delays.
_MAX_WAITING = 512


class _Waiting(NamedTuple):
    future: asyncio.Future[tuple[dict[str, Any], bytes]]
    seconds: float  #: how long this one may run
    what: str
    model: str  #: empty for requests about none


class Link:
    """One child from its start to its end."""

    def __init__(self, scorer: process.ScorerProcess, blame: Callable[[str], None]) -> None:
        self.scorer = scorer
        self._blame = blame
        self.models: OrderedDict[str, asyncio.Future[Any]] = OrderedDict()  #: least recently used first
        self.is_alive = True
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._last_id = 0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def open(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(sock=self.scorer.link)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def ask(
        self, header: dict[str, Any], payload: bytes, *, seconds: float, what: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for its answer.

        Raises:
            Unavailable: too many wait already, or the child ended first.
        """
        if not self.is_alive:
            raise _gone(what, "it had already ended")
        if len(self._waiting) >= _MAX_WAITING:
            raise Unavailable(f"{_MAX_WAITING} requests wait for the scorer already.", retry_after=1)
        loop = asyncio.get_running_loop()
        self._last_id += 1
        waiting = _Waiting(loop.create_future(), seconds, what, header.get("model", ""))
        self._waiting[self._last_id] = waiting
        if len(self._waiting) == 1:
            self._watch_head()
        self._writer.write(frames.pack({**header, "id": self._last_id}, payload))
        return await waiting.future

    def _watch_head(self) -> None:
        """The child works on the oldest request. Its time runs from when it became the oldest."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting:
            head = next(iter(self._waiting.values()))
            self._alarm = asyncio.get_running_loop().call_later(head.seconds, self._too_slow)

    def _too_slow(self) -> None:
        head = self._waiting.popitem(last=False)[1]
        self._blame(head.model)
        log.warning("scorer_too_slow", what=head.what, seconds=head.seconds)
        if not head.future.done():
            message = f"{head.what} took longer than {head.seconds:g} seconds and was stopped."
            head.future.set_exception(Unavailable(message, hint="Send fewer rows.", retry_after=5))
        self.end("another request took too long")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        reason = "it was stopped"
        try:
            while True:
                header_size, payload_size = frames.HEAD.unpack(await reader.readexactly(frames.HEAD.size))
                header = json.loads(await reader.readexactly(header_size))
                payload = await reader.readexactly(payload_size)
                waiting = self._waiting.pop(header["id"], None)
                self._watch_head()
                if waiting is not None and not waiting.future.done():
                    waiting.future.set_result((header, payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            reason = await asyncio.to_thread(self.scorer.how_it_ended)
            if self._waiting:
                self._blame(next(iter(self._waiting.values())).model)
        finally:
            self.end(reason)

    def end(self, reason: str) -> None:
        """Kill the child; whoever waits learns why."""
        if not self.is_alive:
            return
        self.is_alive = False
        for waiting in self._waiting.values():
            if not waiting.future.done():
                waiting.future.set_exception(_gone(waiting.what, reason))
        if self._waiting:
            log.error("scorer_ended", reason=reason, waiting=len(self._waiting))
        self._waiting.clear()
        self._watch_head()
        self._writer.close()
        self.scorer.kill()
        if self._reading is not asyncio.current_task():
            self._reading.cancel()


def _gone(what: str, reason: str) -> Unavailable:
    return Unavailable(f"{what}: the scorer process ended ({reason}).", retry_after=1)
