"""What was answered: remembered as it happens, told in bulk.

One line through structlog takes as long as a small prediction. So an answer is first only a tuple; many of
them become log lines and counts together, within `TELL_SECONDS` and before metrics are read. None is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from fitq import logs

TELL_SECONDS = 0.1


class Answered(NamedTuple):
    """One answer to a request about a model."""

    request_id: str
    model: str  #: name of one that exists, else empty
    version: int
    rows: int
    status: int
    began: float  #: by `time.perf_counter`
    ended: float
    reason: str = ""  #: why it was refused, in one word of a few
    cold_seconds: float | None = None  #: how long it waited for its model to be loaded, if it did


class Journal:
    """Remembers answers until they are told."""

    def __init__(self, count: Callable[[Answered], None]) -> None:
        """`count` is told of every answer."""
        self._count = count
        self._untold: list[Answered] = []

    def remember(self, answered: Answered) -> None:
        """Keep an answer; the first one since the last time sees to it that all are told soon."""
        if not self._untold:
            asyncio.get_running_loop().call_later(TELL_SECONDS, self.tell)
        self._untold.append(answered)

    def tell(self) -> None:
        """Write the lines and count the answers that were not told yet."""
        told, self._untold = self._untold, []
        began = time.time() - time.perf_counter()
        logs.tell("answered", ((began + a.ended, _fields(a)) for a in told))
        for answered in told:
            self._count(answered)


def _fields(answered: Answered) -> dict[str, object]:
    request_id, model, version, rows, status, began, ended, reason, _ = answered
    told: dict[str, object] = {
        "model": f"{model}:{version}" if model else "",
        "ms": round((ended - began) * 1000, 2),
        "request_id": request_id,
        "rows": rows,
        "status": status,
    }
    if reason:
        told["reason"] = reason
    return told
