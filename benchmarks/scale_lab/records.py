"""Many runs that ended, as Redis keeps them, and what it then takes to read some."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

import msgspec

from fitq import attempts, runs
from fitq.backend import Backend
from fitq.records import RunRecord, RunStatus
from fitq.scheduler.care import Care
from scale_lab.meters import Meters

EXPERIMENTS, POOLS, HELD = 50, 4, 1000
_ASKED = 9  #: times, of which the median is told


class Row(NamedTuple):
    """What one number of records costs."""

    records: int
    bytes_each: float  #: in Redis
    milliseconds: dict[str, float]


def grow(backend: Backend, meters: Meters, pattern: RunRecord, sizes: list[int]) -> Iterator[Row]:
    """Add records like this one up to each size, and measure there. Some more are held by workers."""
    held = [_held(pattern, number) for number in range(HELD)]
    for run in held:
        backend.state.add_run(run)
    backend.state.renew_leases([attempts.lease_of(run) for run in held], seconds=3600)
    empty, there = meters.memory_bytes(), 0
    for size in sizes:
        for number in range(there, size):
            backend.state.add_run(_copy(pattern, number))
        there = size
        yield Row(size, (meters.memory_bytes() - empty) / size, dict(_times(backend, size)))


def _copy(pattern: RunRecord, number: int) -> RunRecord:
    return msgspec.structs.replace(
        pattern,
        id=f"train-{number:08x}",
        experiment=f"experiment-{number % EXPERIMENTS}",
        pool=f"pool-{number % POOLS}",
        created_at=pattern.created_at + timedelta(seconds=number),
    )


def _held(pattern: RunRecord, number: int) -> RunRecord:
    copy = _copy(pattern, number)
    return msgspec.structs.replace(copy, id=f"held-{number:04x}", status=RunStatus.RUNNING)


def _times(backend: Backend, size: int) -> Iterator[tuple[str, float]]:
    experiment, care = "experiment-7", Care(backend, lease_seconds=attempts.LEASE_SECONDS)
    state = backend.state
    asked: dict[str, Callable[[], object]] = {
        "one run": lambda: state.get_run(f"train-{size // 2:08x}"),
        "newest page": lambda: runs.page(backend),
        "a page in the middle": lambda: state.list_runs(offset=size // 2, limit=50),
        "newest of an experiment": lambda: runs.page(backend, experiment=experiment),
        "of it, failed": lambda: runs.page(backend, experiment=experiment, status=RunStatus.FAILED),
        "of it, completed": lambda: runs.page(backend, experiment=experiment, status=RunStatus.COMPLETED),
        "experiments with counts": lambda: runs.experiments(backend),
        "load of all pools": state.pool_load,
        f"round of the scheduler, {HELD:,} held": care.end_lost_attempts,
    }
    for what, ask in asked.items():
        yield what, _median_ms(ask)


def _median_ms(ask: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
