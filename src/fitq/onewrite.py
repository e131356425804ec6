"""HTTP connections whose answers leave in one piece.

uvicorn writes the head of an answer and then its body, and uvloop sends each write at once. For a small
answer the second send costs as much as all that scoring does to a request. So the head waits for the body,
and answers that are ready in the same turn of the event loop leave together at its end, all but the first.

Requests and answers that are whole need no ASGI messages, and a connection in use needs no timer for each
request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from fitq.connections import BoundedProtocol
from fitq.draining import CLOSE


class Turn:
    """What was written in this turn of one event loop and is still to be sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.unsent: list[OneWrite] = []

    def add(self, transport: OneWrite) -> None:
        """Send it when the turn is over, if not sooner."""
        if not self.unsent:
            self._loop.call_soon(self._end)
        self.unsent.append(transport)

    def _end(self) -> None:
        unsent, self.unsent = self.unsent, []
        for transport in unsent:
            transport.send()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()


class OneWrite:
    """A transport that gathers what is written in one turn of the loop. All else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._transport = transport
        self._turn = _turns.setdefault(loop, Turn(loop))
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it with what follows, and by the end of this turn if nothing does."""
        self._written.append(data)
        if len(self._written) == 1:
            self._turn.add(self)
        elif len(self._turn.unsent) == 1:
            self.send()  # the only one so far: whoever is alone need not wait

    def write_whole(self, data: bytes) -> None:
        """Send it at once if nobody else has written in this turn, else by its end."""
        self.write(data)
        if len(self._turn.unsent) == 1:
            self.send()

    def close(self) -> None:
        """Send what was written, then close."""
        self.send()
        self._transport.close()

    def write_eof(self) -> None:
        """Send what was written, then close this side."""
        self.send()
        self._transport.write_eof()

    def send(self) -> None:
        """Send what was written."""
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written.clear()


class IdleTimer:
    """What uvicorn sets when a connection becomes idle, and takes back with each request.

    It goes on ticking while the connection is used, and looks when it is over. In place of the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ticking: asyncio.TimerHandle | None = None
        self._idle_until: float | None = None
        self.create_task = loop.create_task

    def call_later(self, seconds: float, callback: Callable[[], object]) -> IdleTimer:
        """Call back when the connection has been idle for so long, unless that is canceled."""
        self._idle_until = self._loop.time() + seconds
        if self._ticking is None:
            self._ticking = self._loop.call_later(seconds, self._look, callback)
        return self

    def cancel(self) -> None:
        """It is not idle any more."""
        self._idle_until = None

    def _look(self, callback: Callable[[], object]) -> None:
        self._ticking = None
        if self._idle_until is None:
            return
        left_seconds = self._idle_until - self._loop.time()
        if left_seconds > 0:
            self._ticking = self._loop.call_later(left_seconds, self._look, callback)
        else:
            callback()


def answered_whole(send: object, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
    """Write a whole answer, as `http.response.start` and `http.response.body` would; whether that was done.

    Args:
        send: what the connection gave the app.
        headers: names in lower case; without `content-length`, which is added.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not _is_usual(cycle):
        return False
    if HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
        return False  # uvicorn knows what to say of it
    parts = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        parts += (name, b": ", value, b"\r\n")
    parts += (b"content-length: %d\r\n\r\n" % len(body), body)
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write_whole(b"".join(parts))  # type: ignore[attr-defined]  # ours, as was looked
    cycle.message_event.set()
    cycle.on_response()
    return True


def _is_usual(cycle: RequestResponseCycle) -> bool:
    """Whether the client is there, reads, stays, and was told nothing yet."""
    return (
        isinstance(cycle.transport, OneWrite)
        and cycle.keep_alive
        and not (cycle.disconnected or cycle.response_started or cycle.flow.write_paused)
        and cycle.scope["method"] != "HEAD"
        and CLOSE not in cycle.default_headers
    )


def arrived_whole(receive: object) -> bytes | None:
    """The body of a request that is there as a whole, as one `http.request`; None if one has to `receive`."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.message_event.clear()
    cycle.flow.resume_reading()
    return body


#: What a request's scope says of that.
_EXTENSIONS = {"fitq.answered_whole": answered_whole, "fitq.arrived_whole": arrived_whole}


class OneWriteProtocol(BoundedProtocol):
    """The HTTP protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Called by the event loop."""
        super().connection_made(transport)
        self.transport = OneWrite(transport)  # type: ignore[assignment]  # it has all that is asked of it
        self.loop = IdleTimer(self.loop)  # type: ignore[assignment]  # tasks and that timer are all it is for

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self.scope["extensions"] = _EXTENSIONS  # type: ignore[typeddict-item]  # a function, not a dictionary
