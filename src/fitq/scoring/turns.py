"""Requests for an entry script, one after the other: how many may wait, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fitq.errors import TooManyRequests, Unavailable

#: So that the script has the next request when it has answered one.
_AT_ONCE = 2


class Turns:
    """Those who wait for one script."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self.waiting = 0

    @contextlib.asynccontextmanager
    async def turn(self, key: str, most: int, seconds: float) -> AsyncIterator[None]:
        """Inside, it is one's turn. Who gives up before is never asked for.

        Args:
            key: of the model.
            most: requests that may wait.
            seconds: for which one may wait.

        Raises:
            TooManyRequests: so many wait already.
            Unavailable: it waited too long.
        """
        if self._turn.locked():
            await self._wait(key, most, seconds)
        else:
            await self._turn.acquire()  # at once
        try:
            yield
        finally:
            self._turn.release()

    async def _wait(self, key: str, most: int, seconds: float) -> None:
        if self.waiting >= most:
            raise TooManyRequests(
                f"{most} requests wait for model {key} already.",
                hint="Send fewer at once.",
                reason="queue_full",
                retry_after=1,
            )
        self.waiting += 1
        try:
            await asyncio.wait_for(self._turn.acquire(), seconds)
        except TimeoutError as exc:
            message = f"The request waited for more than {seconds:g} seconds and was not computed."
            raise Unavailable(message, reason="waited_too_long", retry_after=1) from exc
        finally:
            self.waiting -= 1
