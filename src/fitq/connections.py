"""HTTP connections that cost no more than they bring.

uvicorn keeps a head of any size, and waits for the rest of a request, and for a client that does not read its
answer, for as long as it takes. Here a head has a size, whoever sends or reads has to get on with it, and of
very many that are open and ask nothing some are closed for those who ask. What is refused before the app sees
it has the one error body.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shlex
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fitq.errors import FitqError, HeadTooLarge, InvalidRequest, TooSlow, Unavailable
from fitq.logs import get_logger

log = get_logger(__name__)
#: A head as large as that is always taken; one that comes in pieces is refused when there is more of it.
HEAD_BYTES = 64 * 1024
#: Of a body, and less than any link still in use brings.
_BYTES_PER_SECOND = 1000
#: Who reads an answer may pause for so many times as long as who sends a request.
_READING = 6
_MOST_CONNECTIONS = 10_000
_MOST_FILES = 65_536
#: Of the files that this process may open; the rest is for stores, models and logs.
_SHARE_FOR_CONNECTIONS = 0.75
_LOOK_SECONDS = 1.0


class Limits(NamedTuple):
    """What a client may take."""

    seconds: float = 10.0  #: for a head, and for each `_BYTES_PER_SECOND` × so many bytes of a body
    connections: int = _MOST_CONNECTIONS  #: that may be open at once
    url: str = "http://127.0.0.1"  #: by which clients reach this program


_USUAL = Limits()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, within limits."""

    def __init__(self, *given: Any, limits: Limits = _USUAL, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limits = limits
        self._body_bytes = 0
        self._unread_bytes = 0  #: what came since a head or a piece of a body was understood
        self._is_in_body = False
        self._is_refused = False
        self._problem: FitqError | None = None  #: why the parser was stopped, if we did
        self._stand: tuple[object, ...] = ()
        self.since = float("inf")  #: when it was first seen to stand like that

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Called by the event loop."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections and not make_room(self.connections, self):
            self.refuse(Unavailable("Too many requests are being answered.", retry_after=1))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._is_refused:
            return
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > HEAD_BYTES:
            self.refuse(_head_too_large())

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self._unread_bytes > HEAD_BYTES and self._head_size() > HEAD_BYTES:
            self._problem = _head_too_large()
            raise self._problem
        self._unread_bytes = 0
        self._is_in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._unread_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._unread_bytes = 0
        self._is_in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn names it
        """Called by uvicorn for what is no HTTP."""
        self.refuse(self._problem or _no_http())

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request is here, and nothing of an answer is left."""
        return not (self._is_asked or self._unread_bytes or self._is_in_body)

    @property
    def _is_asked(self) -> bool:
        """Whether the app has a request to answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def look(self, now: float) -> None:
        """Cut off a client that is too slow. Called again and again.

        Args:
            now: by the clock of the event loop.
        """
        stand = self._stands()
        if stand != self._stand:
            self._stand, self.since = stand, now
            return
        passed = now - self.since
        match stand[0]:
            case "head" | "body" if passed > self._limits.seconds:
                self.refuse(_too_slow(str(stand[0]), self._limits.seconds))
            case "nothing" | "too much" | "refused" if passed > self._limits.seconds:
                self.transport.abort()
            case "answer" if passed > self._limits.seconds * _READING:
                log.warning("client_does_not_read", client=self.client)
                self.transport.abort()

    def _stands(self) -> tuple[object, ...]:
        """What we wait for. If that stays the same for too long, it is the client's doing."""
        if self._is_refused:
            return ("refused",)
        if unsent := self.transport.get_write_buffer_size():
            return "answer", unsent
        if self._is_in_body and not self._is_asked:
            return "too much", self.cycle  # of a body whose request is answered already
        if self._is_in_body and not self.flow.read_paused:
            return "body", self.cycle, self._body_bytes // (_BYTES_PER_SECOND * self._limits.seconds)
        if not self._is_asked and self._unread_bytes:
            return "head", self.cycle
        return ("nothing",) if self.cycle is None else ("ours",)

    def refuse(self, error: FitqError) -> None:
        """Answer with an error and read no more. The app, if it was asked, learns that the client is gone."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._unset_keepalive_if_required()
        has_begun = self.cycle is not None and self.cycle.response_started
        if not has_begun or self.cycle.response_complete:
            self.transport.write(_written(error, self._limits.url))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.pipeline.clear()
        self.flow.resume_reading()  # what still comes is thrown away: else the answer would be, too
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()

    def shutdown(self) -> None:
        """Called by uvicorn when the program stops."""
        if self._is_refused:
            self.transport.close()
        else:
            super().shutdown()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)


def make_room(connections: Iterable[Any], newest: BoundedProtocol) -> bool:
    """Close those that have asked nothing for the longest, a tenth of them; whether there were any."""
    idle = [c for c in connections if isinstance(c, BoundedProtocol) and c.is_idle and c is not newest]
    idle.sort(key=lambda c: c.since)
    for connection in idle[: len(idle) // 10 + 1]:
        connection.transport.close()
    return bool(idle)


async def look_after(connections: Iterable[Any], limits: Limits) -> None:
    """Look at each connection again and again, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(_LOOK_SECONDS, limits.seconds / 4))
        for connection in list(connections):
            connection.look(loop.time())


def most_connections() -> int:
    """How many may be open at once, now that this process has allowed itself more files, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft := wanted, hard))
    may_open = _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    return min(_MOST_CONNECTIONS, int(may_open * _SHARE_FOR_CONNECTIONS))


def _written(error: FitqError, url: str) -> bytes:
    """The one error body, with the head of its answer."""
    request_id = str(uuid.uuid4())
    error.data.setdefault("curl", f"curl {shlex.quote(f'{url}/healthz')}")
    body = msgspec.json.encode(error.to_body(request_id))
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        "x-request-id": request_id,
        **({"retry-after": "1"} if error.status == Unavailable.status else {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[error.status] + lines.encode() + b"\r\n" + body


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(
        hint="Send what is large in the body.",
        at="headers",
        expected=f"at most {HEAD_BYTES} bytes",
        got=f"more than {HEAD_BYTES} bytes",
    )


def _no_http() -> InvalidRequest:
    return InvalidRequest(
        "This is not a request of HTTP/1.1.",
        hint="Is Content-Length that of the body, once? Does each chunk begin with its size?",
        at="the request's bytes",
        expected="a head, and as many bytes as it announces",
        got="something else",
    )


def _too_slow(part: str, seconds: float) -> TooSlow:
    is_head = part == "head"
    return TooSlow(
        f"The {part} of the request did not arrive in time.",
        hint="Is Content-Length that of the body? Send what is ready.",
        at=f"the request's {part}",
        expected=f"all of it in {seconds:g} seconds" if is_head else f"{_BYTES_PER_SECOND} bytes per second",
        got="less",
    )
