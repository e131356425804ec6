"""How long the latest answers of one version of a model took."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_ANSWERS = 1000
_COLD = 100
_RANKS = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


class Ring:
    """The latest numbers, at most `most`, in 8 bytes each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers = array("d")
        self.added = 0

    def add(self, number: float) -> None:
        if self.added < self._most:
            self._numbers.append(number)
        else:
            self._numbers[self.added % self._most] = number
        self.added += 1

    def percentiles(self) -> dict[str, float]:
        """In milliseconds, of numbers that are seconds; empty if there are none."""
        return percentiles(self._numbers)


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    """Milliseconds that half, 95 % and 99 % of them do not exceed."""
    found = sorted(seconds)
    if not found:
        return {}
    return {name: round(found[int(rank * (len(found) - 1))] * 1000, 2) for name, rank in _RANKS.items()}


class Latest:
    """Answers of one version, and how long those waited that had to load it."""

    def __init__(self) -> None:
        self._answers, self._cold = Ring(_ANSWERS), Ring(_COLD)

    def add(self, seconds: float, cold_seconds: float | None) -> None:
        self._answers.add(seconds)
        if cold_seconds is not None:
            self._cold.add(cold_seconds)

    @property
    def latency(self) -> dict[str, float | int]:
        """Of the latest answers, from request in to answer out."""
        return {"answers": min(self._answers.added, _ANSWERS), **self._answers.percentiles()}

    @property
    def cold_starts(self) -> dict[str, float | int]:
        """Of requests that waited for the model to be loaded, that part of their time."""
        return {"count": self._cold.added, **self._cold.percentiles()}
