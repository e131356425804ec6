"""A TCP proxy that misbehaves on request, to be put before Redis or an S3 server.

What goes over one connection is seen as exchanges: bytes of the client, then bytes of the server. A fault
may hit every exchange or a share of them, chosen from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

_PIECE_BYTES = 1 << 16


class Kind(enum.Enum):
    """What goes wrong with an exchange."""

    DELAY = enum.auto()  #: every piece, both ways, comes `seconds` later
    CUT = enum.auto()  #: the connection breaks `after_bytes` of the answer
    HALF_CLOSE = enum.auto()  #: the same, but only the answering half is closed
    BLACK_HOLE = enum.auto()  #: the request is taken and nothing ever comes back
    REFUSE = enum.auto()  #: the connection breaks before anything reaches the server
    LOSE_ANSWER = enum.auto()  #: the server gets the request and does it; its answer is lost
    CORRUPT = enum.auto()  #: HTTP only: a bit of the answer's body is another, its length is the same
    ANSWER = enum.auto()  #: HTTP only: `status` is answered, and the server hears of nothing


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of fault, with what it needs to know."""

    kind: Kind
    seconds: float = 0.0
    after_bytes: int = 0
    status: int = 503
    code: str = "SlowDown"  #: of an S3 error
    containing: bytes = b""  #: only exchanges whose request holds these bytes
    share: float = 1.0  #: of exchanges that are hit


class Proxy:
    """A port on 127.0.0.1 behind which a server answers, well or badly.

    Example:
        >>> with Proxy(6379) as proxy, proxy.during(Fault(kind=Kind.DELAY, seconds=2)):
        ...     redis.Redis(port=proxy.port).ping()
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.fault: Fault | None = None  #: in force now; may be changed at any time
        self.hits = 0  #: exchanges that a fault has met
        self.port = 0  #: known once started
        self.target_port = target_port
        self.random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name=f"proxy-{target_port}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.join(10)

    @contextlib.contextmanager
    def during(self, fault: Fault) -> Iterator[None]:
        """Misbehave for a while."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    async def _serve(self) -> None:
        told, loop = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(told.set)
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await told.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_Connection(self, reader, writer).serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection:
    """One client's connection and ours to the server."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._client, self._to_client = proxy, reader, writer
        self._fault: Fault | None = None  #: of the exchange that goes on
        self._answered_bytes: int | None = 0  #: None while the client is the one who talks
        self._is_corrupted = False  #: the answer that goes on

    async def serve(self) -> None:
        to_server: asyncio.StreamWriter | None = None
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._proxy.target_port)
            both = (self._requests(to_server), self._answers(server))
            tasks = [asyncio.ensure_future(side) for side in both]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass  # the server is away: so are we
        finally:
            for writer in (self._to_client, to_server):
                if writer is not None:
                    writer.transport.abort()

    def _draw(self, request: bytes) -> Fault | None:
        fault = self._proxy.fault
        if fault is None or fault.containing not in request or self._proxy.random.random() >= fault.share:
            return None
        self._proxy.hits += 1
        return fault

    async def _requests(self, to_server: asyncio.StreamWriter) -> None:
        while piece := await self._client.read(_PIECE_BYTES):
            if self._answered_bytes is not None:
                self._answered_bytes = None
                self._is_corrupted = False
                self._fault = self._draw(piece)
            match self._fault:
                case Fault(kind=Kind.REFUSE):
                    return
                case Fault(kind=Kind.ANSWER) as fault:
                    await self._answer(piece, fault)
                    return
                case Fault(kind=Kind.BLACK_HOLE):
                    continue
                case Fault(kind=Kind.DELAY, seconds=seconds):
                    await asyncio.sleep(seconds)
            to_server.write(piece)
            await to_server.drain()

    async def _answers(self, server: asyncio.StreamReader) -> None:
        while piece := await server.read(_PIECE_BYTES):
            sent = self._answered_bytes or 0
            self._answered_bytes = sent + len(piece)
            fault = self._fault
            if fault is not None and fault.kind is Kind.LOSE_ANSWER:
                return
            if fault is not None and fault.kind is Kind.DELAY:
                await asyncio.sleep(fault.seconds)
            if fault is not None and fault.kind is Kind.CORRUPT and not self._is_corrupted:
                piece = self._corrupted(piece, is_first=sent == 0)
            if fault is not None and fault.kind in (Kind.CUT, Kind.HALF_CLOSE):
                left = fault.after_bytes - sent
                if len(piece) >= left:
                    await self._break_off(piece[: max(0, left)], fault)
                    return
            self._to_client.write(piece)
            await self._to_client.drain()

    def _corrupted(self, piece: bytes, *, is_first: bool) -> bytes:
        """The piece with a bit in the middle of its share of the body turned, if it has one."""
        head, end, _ = piece.partition(b"\r\n\r\n") if is_first else (b"", b"", b"")
        body = len(head + end)
        if body == len(piece):
            return piece
        self._is_corrupted, at = True, (body + len(piece)) // 2
        return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]

    async def _break_off(self, last: bytes, fault: Fault) -> None:
        self._to_client.write(last)
        await self._to_client.drain()
        if fault.kind is Kind.HALF_CLOSE:
            self._to_client.write_eof()
            while await self._client.read(_PIECE_BYTES):  # it may go on talking, to nobody
                pass

    async def _answer(self, request: bytes, fault: Fault) -> None:
        """Read the request to its end, so that the client is ready to hear, and answer."""
        while b"\r\n\r\n" not in request:
            request += await self._client.readuntil(b"\r\n\r\n")
        head, _, body = request.partition(b"\r\n\r\n")
        left = _content_length(head) - len(body)
        while left > 0 and (piece := await self._client.read(_PIECE_BYTES)):
            left -= len(piece)
        text = f"<Error><Code>{fault.code}</Code><Message>planted</Message></Error>".encode()
        lines = f"HTTP/1.1 {fault.status} Planted\r\nContent-Type: application/xml\r\n"
        closing = f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        self._to_client.write((lines + closing).encode() + (b"" if head.startswith(b"HEAD") else text))
        await self._to_client.drain()
        self._to_client.write_eof()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


#: Faults by name, as they are drawn at random and told in a report.
SLOW = Fault(kind=Kind.DELAY, seconds=2.0)
GONE = Fault(kind=Kind.REFUSE)
DEAF = Fault(kind=Kind.BLACK_HOLE)
FORGETFUL = Fault(kind=Kind.LOSE_ANSWER)
ALTERING = Fault(kind=Kind.CORRUPT)
HALVES = Fault(kind=Kind.CUT, after_bytes=400)
SLOW_DOWN = Fault(kind=Kind.ANSWER, status=503, code="SlowDown")
BROKEN = Fault(kind=Kind.ANSWER, status=500, code="InternalError")
FORBIDDEN = Fault(kind=Kind.ANSWER, status=403, code="AccessDenied")


def some(fault: Fault, share: float) -> Fault:
    """The same fault for a share of exchanges."""
    return replace(fault, share=share)
