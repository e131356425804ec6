"""One scorer child from its start to its end, and the requests in flight to it.

They travel in order and are answered in order. Whatever is in flight when the child ends gets `Unavailable`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger
from fitq.scorer import child as frames
from fitq.scorer import process

log = get_logger(__name__)
#: Requests that may wait in one child. More than it answers in a second or two only grows delays.
_MAX_WAITING = 512
#: No answer is larger. A child says how many bytes follow, and a model can write in its child's place.
_MOST_BYTES = 1 << 30
#: Makes something of an answer's header and payload; what it raises is the answer.
Reading = Callable[[dict[str, Any], bytes], Any]


class _Waiting(NamedTuple):
    answer: asyncio.Future[Any]
    read: Reading
    seconds: float  #: how long this one may run
    what: str
    model: str  #: empty for requests about none


def _as_it_is(header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    return header, payload


class Link(asyncio.Protocol):
    """One child from its start to its end."""

    def __init__(self, scorer: process.ScorerProcess, blame: Callable[[str], None]) -> None:
        self.scorer = scorer
        self._blame = blame
        self.models: OrderedDict[str, asyncio.Future[Any]] = OrderedDict()  #: least recently used first
        self.sizes: dict[str, int] = {}  #: model → bytes of memory, about
        self.asked: dict[str, float] = {}  #: model → when it was last, on the monotonic clock
        self.full: Counter[str] = Counter()  #: model → how often it found no memory left
        self.is_alive = True
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._last_number = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._head_ends = 0.0  #: when the oldest request will have taken too long, by the loop's clock
        self._arrived = bytearray()  #: the beginning of a frame whose end is still to come

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def open(self) -> None:
        self._transport, _ = await self._loop.create_unix_connection(lambda: self, sock=self.scorer.link)

    async def ask(
        self, header: dict[str, Any], payload: bytes, *, seconds: float, what: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for its answer.

        Raises:
            Unavailable: too many wait already, or the child ended first.
        """
        written = msgspec.json.encode(header)
        answer: tuple[dict[str, Any], bytes] = await self.send(
            written, payload, _as_it_is, seconds=seconds, what=what, model=header.get("model", "")
        )
        return answer

    def send(
        self, header: bytes, payload: bytes, read: Reading, *, seconds: float, what: str, model: str
    ) -> asyncio.Future[Any]:
        """Send a request whose header is written already; what `read` makes of its answer.

        Raises:
            Unavailable: in the future, as `ask`.
        """
        answer = self._loop.create_future()
        if not self.is_alive:
            answer.set_exception(_gone(what, "it had already ended"))
        elif len(self._waiting) >= _MAX_WAITING:
            message = f"{_MAX_WAITING} requests wait for the scorer already."
            answer.set_exception(Unavailable(message, reason="scorer_full", retry_after=1))
        else:
            self._last_number = self._last_number % 0xFFFFFFFF + 1
            self._waiting[self._last_number] = _Waiting(answer, read, seconds, what, model)
            if len(self._waiting) == 1:
                self._watch_head()
            self._transport.write(frames.frame(header, payload, self._last_number))
        return answer

    def _watch_head(self) -> None:
        """The child works on the oldest request. Its time runs from when it became the oldest."""
        if self._waiting:
            head = next(iter(self._waiting.values()))
            self._head_ends = self._loop.time() + head.seconds
            if self._alarm is None or self._alarm.when() > self._head_ends:
                self._set_alarm()

    def _set_alarm(self) -> None:
        """One alarm for many requests: setting it anew for each would cost more than sending them."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._head_ends, self._look_at_head)

    def _look_at_head(self) -> None:
        self._alarm = None
        if self._waiting and self._loop.time() < self._head_ends:
            self._set_alarm()
        elif self._waiting:
            self._too_slow()

    def _too_slow(self) -> None:
        head = self._waiting.popitem(last=False)[1]
        self._blame(head.model)
        log.warning("scorer_too_slow", what=head.what, seconds=head.seconds)
        if not head.answer.done():
            message = f"{head.what} took longer than {head.seconds:g} seconds and was stopped."
            head.answer.set_exception(
                Unavailable(message, hint="Send fewer rows.", reason="too_slow", retry_after=5)
            )
        self.end("another request took too long")

    def data_received(self, data: bytes) -> None:
        """Take the frames that are complete; keep the rest. Called by the event loop."""
        if self._arrived:
            self._arrived += data
            data = bytes(self._arrived) if self._is_complete() else b""
            if not data:
                return
            self._arrived = bytearray()
        start = 0
        while len(data) - start >= frames.HEAD.size:
            number, header_size, payload_size = frames.HEAD.unpack_from(data, start)
            if header_size + payload_size > _MOST_BYTES:
                self._distrust(f"it announced an answer of {header_size + payload_size} bytes")
                return
            header = start + frames.HEAD.size
            payload = header + header_size
            if payload + payload_size > len(data):
                break
            start = payload + payload_size
            self._answered(number, data[header:payload], data[payload:start])
        self._arrived += data[start:]

    def _is_complete(self) -> bool:
        """Whether the first frame is here whole, or never will be. Large ones come in pieces, copied once."""
        if len(self._arrived) < frames.HEAD.size:
            return False
        _, header_size, payload_size = frames.HEAD.unpack_from(self._arrived)
        size = header_size + payload_size
        return bool(size > _MOST_BYTES or len(self._arrived) >= frames.HEAD.size + size)

    def _answered(self, number: int, header: bytes, payload: bytes) -> None:
        waiting = self._waiting.pop(number, None)
        self._watch_head()
        if waiting is None or waiting.answer.done():
            return
        try:
            waiting.answer.set_result(waiting.read(msgspec.json.decode(header), payload))
        except FitqError as exc:
            waiting.answer.set_exception(exc)
        except Exception as exc:  # no answer of ours: a model wrote it, or wrote over it
            waiting.answer.set_exception(_gone(waiting.what, "it did not answer in frames"))
            self._distrust(f"it did not answer in frames: {exc!r}", waiting.model)

    def _distrust(self, reason: str, model: str = "") -> None:
        """End a child whose words cannot be ours. The model that it was asked about is to blame."""
        asked = next(iter(self._waiting.values())).model if self._waiting else ""
        self._blame(model or asked)
        log.error("scorer_distrusted", reason=reason)
        self.end(reason)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio names it
        """The child is gone, or we are done with it. Called by the event loop."""
        if self.is_alive:
            self._ending = self._loop.create_task(self._explain_end())

    async def _explain_end(self) -> None:
        reason = await asyncio.to_thread(self.scorer.how_it_ended)
        if self._waiting and not self.scorer.problem:  # which would be this machine's, not the model's
            self._blame(next(iter(self._waiting.values())).model)
        self.end(reason)

    def end(self, reason: str) -> None:
        """Kill the child; whoever waits learns why."""
        if not self.is_alive:
            return
        self.is_alive = False
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(_gone(waiting.what, reason))
        if self._waiting:
            log.error("scorer_ended", reason=reason, waiting=len(self._waiting))
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        self._transport.abort()
        self.scorer.kill()


def _gone(what: str, reason: str) -> Unavailable:
    return Unavailable(f"{what}: the scorer process ended ({reason}).", reason="scorer_ended", retry_after=1)
