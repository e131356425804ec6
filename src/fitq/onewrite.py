"""HTTP connections whose answers leave in one piece.

uvicorn writes the head of an answer and then its body, and uvloop sends each write at once. For a small
answer the second send costs as much as all that scoring does to a request. So the head waits for the body,
and answers that are ready in the same turn of the event loop leave together at its end, all but the first.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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

    def close(self) -> None:
        """Send what was written, then close."""
        self.send()
        self._transport.close()

    def send(self) -> None:
        """Send what was written."""
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written.clear()


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Called by the event loop."""
        super().connection_made(transport)
        self.transport = OneWrite(transport)  # type: ignore[assignment]  # it has all that is asked of it
