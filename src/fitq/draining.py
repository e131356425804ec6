"""A web server that looks after its clients, and lets them go before it closes.

uvicorn closes connections that are idle at that moment. A client under load is idle for a millisecond
between two requests, and its next one would meet a reset. So for a moment everything is still answered, each
answer says `Connection: close`, and whoever obeys that asks elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

from fitq.connections import Limits, look_after

#: Who has not asked for so long is idle, and may be closed.
_LAST_REQUESTS_SECONDS = 1.0
_LOOK_SECONDS = 0.02
CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """uvicorn's server with that moment before its own shutdown, and limits for each client until then."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once by uvicorn, before it answers."""
        await super().startup(sockets)
        self._looking = asyncio.create_task(look_after(self.server_state.connections, self._limits))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once by uvicorn, after SIGTERM."""
        await self._let_go()
        await super().shutdown(sockets)
        self._looking.cancel()

    async def _let_go(self) -> None:
        state, loop = self.server_state, asyncio.get_running_loop()
        state.default_headers = [*state.default_headers, CLOSE]  # of requests from now on
        for connection in state.connections:
            _close_after_answer(connection)
        deadline = loop.time() + _LAST_REQUESTS_SECONDS
        while state.connections and loop.time() < deadline and not self.force_exit:
            await asyncio.sleep(_LOOK_SECONDS)


def _close_after_answer(connection: Any) -> None:
    """As uvicorn does for what it is answering; for nothing else."""
    cycle = getattr(connection, "cycle", None)
    if cycle is not None and not cycle.response_complete:
        cycle.keep_alive = False
