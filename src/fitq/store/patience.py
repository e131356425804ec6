"""Waiting for a store that is away. Programs that serve people fail fast; workers wait."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from fitq.errors import Unavailable
from fitq.logs import get_logger

T = TypeVar("T")
log = get_logger(__name__)
#: How long a run waits for the object store before its worker hands it back and does something else.
RUN_SECONDS = 600.0


def patiently(
    call: Callable[[], T],
    *,
    what: str,
    seconds: float | None = None,
    stop: threading.Event | None = None,
) -> T:
    """Call until it does not raise `Unavailable`, with growing pauses up to 5 s, and say so.

    Args:
        what: for the log line: "claim the run", "keep outputs".
        seconds: give up after so long; None waits for ever.
        stop: give up when set.
    """
    began, pause = time.monotonic(), 0.1
    while True:
        try:
            return call()
        except Unavailable as exc:
            waited = time.monotonic() - began
            if (seconds is not None and waited > seconds) or (stop is not None and stop.is_set()):
                raise
            log.warning(
                "store_unavailable",
                trying_to=what,
                waited_seconds=round(waited, 1),
                error=exc.message,
            )
            _pause(pause * random.uniform(0.5, 1.0), stop)
            pause = min(pause * 2, 5.0)


def _pause(seconds: float, stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)
