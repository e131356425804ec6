"""Two ways to follow values of the object store: those that hot requests never wait for (`Watch`), and those
that decide who may enter, which are never old (`Current`)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
log = get_logger(__name__)

#: What nobody asked for in so long is looked up again when somebody does, not in the background.
IDLE_SECONDS = 60.0
#: Looks at once behind the back of requests, which may need the same threads.
AT_ONCE = 3
#: Of so many at most it is asked in one round whether they are in use.
LOOKED_THROUGH = 200
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
        self._kept: set[K] = set()  #: in use for ever
        self._seen: OrderedDict[K, int] = OrderedDict()  #: key → its newest look, those longest ago first
        self._looks = 0

    def keep(self, key: K) -> None:
        """From now on it is in use whether or not somebody asks for it."""
        self._kept.add(key)

    def kept(self) -> list[T]:
        """What is in use for ever, as far as it is known."""
        return [self._known[key] for key in self._kept if key in self._known]

    def hot(self, key: K) -> T | None:
        """The value where it is hot, else None."""
        now = time.monotonic()
        if now - self._asked.get(key, -IDLE_SECONDS) >= IDLE_SECONDS and key not in self._kept:
            return None
        self._asked[key] = now
        return self._known.get(key)

    async def get(self, key: K) -> T:
        """The value, at once where it is hot.

        Raises:
            FitqError: what `look` raised; `Unavailable` only if the value was never seen.
        """
        if not self._is_hot(key):
            await self._refresh(key)
        self._asked[key] = time.monotonic()
        return self._known[key]

    def in_use(self) -> list[K]:
        """What was asked for lately, or is kept."""
        return [key for key in self._known if self._is_hot(key)]

    def longest_unseen(self, most: int) -> list[K]:
        """Some of what is in use, those first that were looked at the longest ago."""
        found = []
        for key in list(itertools.islice(self._seen, LOOKED_THROUGH)):
            self._seen.move_to_end(key)
            if self._is_hot(key):
                found.append(key)
            if len(found) == most:
                break
        return found

    async def refresh(self, keys: Iterable[K]) -> None:
        """Look again, at a few at once; what has gone is told in the log."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def looked(key: K) -> None:
            async with turns:
                try:
                    await self._refresh(key)
                except FitqError as exc:
                    log.info("watched_value_gone", key=str(key), error=exc.message)

        await asyncio.gather(*(looked(key) for key in keys))

    def _is_hot(self, key: K) -> bool:
        is_asked = time.monotonic() - self._asked.get(key, -IDLE_SECONDS) < IDLE_SECONDS
        return key in self._known and (is_asked or key in self._kept)

    async def _refresh(self, key: K) -> None:
        self._looks += 1
        mine = self._looks
        try:
            value = await self._look(key)
        except Unavailable:
            if key not in self._known:
                raise
        except FitqError:
            if key in self._known and self._is_newest(key, mine):
                del self._known[key]
                self._seen[key] = mine
            raise
        else:
            if self._is_newest(key, mine):
                self._known[key] = value
                self._seen[key] = mine
                self._seen.move_to_end(key)

    def _is_newest(self, key: K, look: int) -> bool:
        """Whether no look that began later has been answered already: what that saw is newer."""
        return self._seen.get(key, 0) < look


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
