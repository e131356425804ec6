"""What was looked up a moment ago and need not be looked up again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recently(Generic[T]):
    """Values by name, each for some seconds, the oldest forgotten first. Threads may share it."""

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._kept: dict[str, tuple[float, T]] = {}  # in the order of their ends
        self._lock = threading.Lock()

    def get(self, name: str) -> T | None:
        """What was put under that name, if that was not long ago."""
        with self._lock:
            ends, value = self._kept.get(name, (0.0, None))
        return value if ends > time.monotonic() else None

    def put(self, name: str, value: T) -> None:
        """Remember a value from now on."""
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = (time.monotonic() + self._seconds, value)
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def looked_up(self, name: str, look: Callable[[], T | None]) -> T | None:
        """What is remembered, else what `look` finds. That there was nothing is not remembered."""
        value = self.get(name)
        if value is None:
            value = look()
            if value is not None:
                self.put(name, value)
        return value
