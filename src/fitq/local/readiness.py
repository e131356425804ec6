"""When a platform that starts is ready: api and scoring answer, and every worker has reported to its pool."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import urllib3

from fitq.backend import Backend, open_backend
from fitq.errors import Unavailable
from fitq.local.process import last_lines
from fitq.local.program import Program
from fitq.pools import live_workers
from fitq.settings import Settings

READY_SECONDS = 90.0
_LOOK_SECONDS = 0.1


def wait_until_ready(
    settings: Settings, programs: Sequence[Program], first: Mapping[str, int], *, began: datetime, logs: Path
) -> None:
    """Wait until all of it answers.

    Args:
        first: pool → number of workers that it starts with.
        began: when it started; workers that are known from before do not count.
        logs: the folder of the programs' logs.

    Raises:
        Unavailable: a program ended, which carries the end of its log, or they were not ready in time.
    """
    backend = open_backend(settings)
    deadline = time.monotonic() + READY_SECONDS
    while waiting := _not_ready(settings, backend, first, began):
        _check_alive(programs)
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Not ready within {READY_SECONDS:.0f} s: {', '.join(waiting)}.",
                hint=f"Their logs are in {logs}.",
            )
        time.sleep(_LOOK_SECONDS)


def _not_ready(settings: Settings, backend: Backend, first: Mapping[str, int], began: datetime) -> list[str]:
    """What does not answer yet, in words."""
    addresses = {"api": settings.url, "scoring": settings.scoring_url}
    waiting = [name for name, url in addresses.items() if not _is_ready(url)]
    if waiting:
        return waiting
    workers = live_workers(backend)
    here = Counter(w.pool for w in workers if w.started_at >= began)
    return [
        f"workers of pool {pool} ({here[pool]} of {wanted})"
        for pool, wanted in first.items()
        if here[pool] < wanted
    ]


def _is_ready(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/readyz", timeout=5, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _check_alive(programs: Sequence[Program]) -> None:
    for program in programs:
        if not program.process.is_running:
            raise Unavailable(
                f"{program.name} ended with exit code {program.process.exit_code} while starting.",
                hint=f"The end of {program.process.log}:\n{last_lines(program.process.log)}",
            )


__all__ = ["READY_SECONDS", "wait_until_ready"]
