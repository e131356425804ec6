"""Whether something answers, for those who must not wait long to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fitq.errors import FitqError, Unavailable

OK = "ok"
_SECONDS = 3.0


class Ping:
    """One question at a time in a thread of its own: a store that is deaf takes no thread from requests,
    however often somebody wants to know.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ping")
        self._asking: asyncio.Future[str] | None = None

    async def said(self) -> str:
        """`OK`, or what is wrong."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().run_in_executor(self._thread, self._answer)
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), _SECONDS)
        except TimeoutError:
            return f"does not answer within {_SECONDS:g} seconds"

    def _answer(self) -> str:
        try:
            self._ask()
        except Unavailable as exc:
            return exc.message
        except FitqError as exc:
            return str(exc)
        return OK
