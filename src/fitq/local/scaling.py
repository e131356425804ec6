"""How many workers a pool should have, on one machine: what was said about it, and what waits in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fitq.errors import InvalidRequest
from fitq.local.program import Program
from fitq.records import PoolSettings


class Workers(NamedTuple):
    """A number of workers that follows the queue between two bounds."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}..{self.most}"


class Wanted(NamedTuple):
    """What is known about a pool."""

    settings: PoolSettings
    demand: int  #: workers that would have something to do

    @property
    def workers(self) -> int:
        """How many there should be."""
        least, most = self.settings.min_workers, self.settings.max_workers
        return least if most is None else max(least, min(self.demand, most))


class Plan(NamedTuple):
    """What to change."""

    start: list[str]  #: a pool's name for each worker to start
    retire: list[Program]  #: workers that may leave; each of them idle
    is_held_back: bool  #: more were asked for than this machine is given


def parse_workers(text: str) -> int | Workers:
    """`2`, or `0..4`.

    Raises:
        InvalidRequest: it is neither.
    """
    if text.isdecimal():
        return int(text)
    found = re.fullmatch(r"([0-9]{1,5})\.\.([0-9]{1,5})", text)
    if not found or int(found[1]) > int(found[2]):
        raise InvalidRequest(f"{text!r} is no number of workers.", hint="Write it like 2, or 0..4.")
    return Workers(int(found[1]), int(found[2]))


def most_workers() -> int:
    """As many worker processes as one machine is given: more only take time and memory from each other."""
    return 16 * (os.cpu_count() or 1)


def plan(
    pools: Mapping[str, Wanted], workers: Sequence[Program], idle_seconds: Mapping[Program, float], most: int
) -> Plan:
    """Bring each pool that has settings to the workers that it should have.

    Args:
        pools: by name; pools without settings stay as they are.
        workers: that are there and not leaving.
        idle_seconds: for how long a worker has had nothing to do; only of those that have nothing. The
            others' turn to leave comes later.
        most: workers on this machine, all pools together. A number mistyped must not bring it down.
    """
    start: list[str] = []
    retire: list[Program] = []
    for pool, wanted in pools.items():
        here = [w for w in workers if w.pool == pool]
        start += [pool] * min(wanted.workers - len(here), most + 1)
        retire += _leaving(wanted, here, idle_seconds)
    room = max(0, most - len(workers))
    return Plan(start[:room], retire, len(start) > room)


def _leaving(wanted: Wanted, here: list[Program], idle_seconds: Mapping[Program, float]) -> list[Program]:
    """Beyond the most, whoever is idle; beyond what is needed now, whoever has been for long enough."""
    most = wanted.settings.max_workers
    if most is None:
        return []
    idle = [w for w in reversed(here) if w in idle_seconds]
    over = idle[: max(0, len(here) - most)]
    bored = [w for w in idle if idle_seconds[w] >= wanted.settings.idle_seconds]
    spare = max(0, len(here) - len(over) - wanted.workers)
    return over + [w for w in bored if w not in over][:spare]


def process_of(worker_id: str) -> int:
    """The process id at the end of a worker's id; 0 if there is none."""
    number = worker_id.rpartition("-")[2]
    return int(number) if number.isdigit() else 0
