"""Two ways to follow values of the object store: those that hot requests never wait for (`Watch`), and those
that decide who may enter, which are never old (`Current`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
log = get_logger(__name__)

REFRESH_SECONDS = 0.25
#: What nobody asked for in so long is looked up again when somebody does, not in the background.
IDLE_SECONDS = 60.0
#: How long a look may take before the last value seen stands in, and for how long it then does.
LOOK_SECONDS = 1.0
AWAY_SECONDS = 2.0


class Watch(Generic[K, T]):
    """Looks a value up when it is first asked for, and keeps it fresh behind the back of requests.

    What is not known is always looked up afresh, so a thing is found from the moment it exists. While the
    object store is away, what is known stays as it was.
    """

    def __init__(self, look: Callable[[K], Awaitable[T]]) -> None:
        self._look = look
        self._known: dict[K, T] = {}
        self._asked: dict[K, float] = {}

    def hot(self, key: K) -> T | None:
        """The value where it is hot, else None."""
        now = time.monotonic()
        if now - self._asked.get(key, -IDLE_SECONDS) >= IDLE_SECONDS or key not in self._known:
            return None
        self._asked[key] = now
        return self._known[key]

    async def get(self, key: K) -> T:
        """The value, at once where it is hot.

        Raises:
            FitqError: what `look` raised; `Unavailable` only if the value was never seen.
        """
        now = time.monotonic()
        is_hot = key in self._known and now - self._asked[key] < IDLE_SECONDS
        if not is_hot:
            await self._refresh(key)
        self._asked[key] = now
        return self._known[key]

    async def refresh(self) -> None:
        """Look again at everything that was asked for lately."""
        oldest = time.monotonic() - IDLE_SECONDS
        for key in [k for k, asked in self._asked.items() if asked > oldest and k in self._known]:
            try:
                await self._refresh(key)
            except FitqError as exc:
                log.info("watched_value_gone", key=str(key), error=exc.message)

    async def _refresh(self, key: K) -> None:
        try:
            self._known[key] = await self._look(key)
        except Unavailable:
            if key not in self._known:
                raise
        except FitqError:
            self._known.pop(key, None)
            raise


class Current(Generic[K, T]):
    """Looks a value up for every request, and shares each look among those who came before it began.

    A key that was revoked and an endpoint that was deleted stop working with the answer that said so. While
    the object store is away or slow, the last value seen stands in.
    """

    def __init__(self, look: Callable[[K], Awaitable[T]]) -> None:
        self._look = look
        self._known: dict[K, T] = {}
        self._turns: dict[K, asyncio.Lock] = {}
        self._arrivals = 0
        self._covered: dict[K, int] = {}  #: key → the last arrival that its newest look serves
        self._away_until = 0.0

    async def get(self, key: K) -> T:
        """The value as it is now.

        Raises:
            FitqError: what `look` raised; `Unavailable` only if the value was never seen.
        """
        if key in self._known and time.monotonic() < self._away_until:
            return self._known[key]
        self._arrivals += 1
        mine = self._arrivals
        async with self._turns.setdefault(key, asyncio.Lock()):
            if self._covered.get(key, 0) < mine or key not in self._known:
                self._covered[key] = self._arrivals
                await self._refresh(key)
            return self._known[key]

    async def _refresh(self, key: K) -> None:
        try:
            self._known[key] = await asyncio.wait_for(self._look(key), LOOK_SECONDS)
        except (Unavailable, TimeoutError) as exc:
            self._away_until = time.monotonic() + AWAY_SECONDS
            if key not in self._known:
                self._forget(key)
                raise Unavailable("The object store does not answer.") from exc
        except FitqError:
            self._forget(key)
            raise

    def _forget(self, key: K) -> None:
        """Leave no trace of names that were only guessed: anybody may ask for any."""
        for kept in (self._known, self._turns, self._covered):
            kept.pop(key, None)


async def keep_fresh(watch: Watch[K, T]) -> None:
    """Refresh for ever; a bug in one look is logged and does not end the loop."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            await watch.refresh()
        except Exception:
            log.exception("refresh_failed")
