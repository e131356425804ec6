"""How many workers pools have when the platform starts: the last word counts.

Options of `fitq up` that are the same as at the last start say nothing new: what was declared, scaled or put
meanwhile stays. Options that changed are the newer word, and are written over it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fitq import pools
from fitq.backend import Backend
from fitq.local.scaling import Wanted, Workers, most_workers
from fitq.logs import get_logger
from fitq.records import PoolSettings

log = get_logger(__name__)
Given = Mapping[str, int | Workers]


def words(given: Given, idle_seconds: int) -> dict[str, str]:
    """The options as they are remembered until the next start."""
    return {
        pool: f"{workers}, idle {idle_seconds} s" if isinstance(workers, Workers) else str(workers)
        for pool, workers in given.items()
    }


def settle(
    backend: Backend, given: Given, idle_seconds: int, before: Mapping[str, str] | None
) -> dict[str, PoolSettings | None]:
    """Write what the options newly say; what holds from now on for each pool that they name.

    Args:
        before: `words` of the last start; None: nothing is known of one, and what is kept stays.
    """
    now = words(given, idle_seconds)
    return {
        pool: _settled(backend, pool, workers, idle_seconds, before is None or before.get(pool) == now[pool])
        for pool, workers in given.items()
    }


def _settled(
    backend: Backend, pool: str, workers: int | Workers, idle_seconds: int, is_old: bool
) -> PoolSettings | None:
    kept, _ = pools.kept_settings(backend, pool)
    if kept is not None and is_old:
        log.info("pool_bounds_kept", pool=pool, least=kept.min_workers, most=kept.max_workers)
        return kept
    if isinstance(workers, int) and (kept is None or not _has_bounds(kept)):
        return kept  # as many as are started; nothing is kept of it
    bounds = _bounded(kept or PoolSettings(), workers, idle_seconds)
    pools.configure(backend, pool, bounds)
    return bounds


def _has_bounds(kept: PoolSettings) -> bool:
    return bool(kept.min_workers) or kept.max_workers is not None


def _bounded(kept: PoolSettings, workers: int | Workers, idle_seconds: int) -> PoolSettings:
    if isinstance(workers, int):
        return msgspec.structs.replace(kept, min_workers=workers, max_workers=workers)
    least, most = workers
    return msgspec.structs.replace(kept, min_workers=least, max_workers=most, idle_seconds=idle_seconds)


def first_workers(workers: int | Workers, settings: PoolSettings | None, *, has_functions: bool) -> int:
    """How many to start with; in a pool from zero one, if there is a folder whose functions nobody knows."""
    said = settings or PoolSettings()
    wanted = min(most_workers(), Wanted(said, demand=int(has_functions)).workers)
    if said.max_workers is not None:
        return wanted
    return max(wanted, workers if isinstance(workers, int) else workers.least)
