"""How many workers a pool should have, on one machine: what `fitq pools scale` said last."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fitq.local.program import Program
from fitq.records import PoolSettings


class Plan(NamedTuple):
    """What to change."""

    start: list[str]  #: a pool's name for each worker to start
    retire: list[Program]  #: workers to stop; each of them idle
    is_held_back: bool  #: more were asked for than this machine is given


def most_workers() -> int:
    """As many worker processes as one machine is given: more only take time and memory from each other."""
    return 16 * (os.cpu_count() or 1)


def plan(pools: Mapping[str, PoolSettings], workers: Sequence[Program], busy: set[int], most: int) -> Plan:
    """Bring each pool that has settings between its least and its most workers.

    Args:
        pools: settings by pool; pools without any stay as they are.
        workers: that are there and not leaving.
        busy: process ids of workers that execute a run. They are not stopped: their turn comes later.
        most: workers on this machine, all pools together. A number mistyped must not bring it down.
    """
    start: list[str] = []
    retire: list[Program] = []
    for pool, settings in pools.items():
        here = [w for w in workers if w.pool == pool]
        start += [pool] * min(settings.min_workers - len(here), most + 1)
        allowed = len(here) if settings.max_workers is None else settings.max_workers
        idle = [w for w in here if w.process.pid not in busy]
        retire += list(reversed(idle))[: max(0, len(here) - allowed)]
    room = max(0, most - len(workers))
    return Plan(start[:room], retire, len(start) > room)


def process_of(worker_id: str) -> int:
    """The process id at the end of a worker's id; 0 if there is none."""
    number = worker_id.rpartition("-")[2]
    return int(number) if number.isdigit() else 0
