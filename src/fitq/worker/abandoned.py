"""Folders of runs whose worker is gone: the workers that share their place look for them.

Each folder has a file `lock`, which its worker holds for as long as it lives: the kernel lets go of it,
however the worker ends. Several workers, of several containers too, may share the place of these folders.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fitq.logs import get_logger

log = get_logger(__name__)
_LOCK = "lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """While it is in use, nobody takes it for abandoned."""
    fresh = folder / f".{_LOCK}"
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        fresh.rename(folder / _LOCK)  # held before anybody can find it
        yield
    finally:
        os.close(descriptor)


def sweep(place: Path, end: Callable[[str], None]) -> None:
    """Remove the folders below a place that nobody holds any more.

    Args:
        end: ends what else there is of an attempt, given its folder's name.

    Raises:
        Unavailable: `end` could not; the folder stays for the next sweep.
    """
    for folder in sorted(place.iterdir()) if place.is_dir() else []:
        with _taken(folder) as is_abandoned:
            if is_abandoned:
                end(folder.name)
                shutil.rmtree(folder, ignore_errors=True)
                log.info("abandoned_run_removed", folder=folder.name)


@contextlib.contextmanager
def _taken(folder: Path) -> Iterator[bool]:
    """Whether nobody holds it. Then nobody else sweeps it meanwhile."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # not a run's, or not there any more
        yield False
        return
    try:
        yield _can_lock(descriptor)
    finally:
        os.close(descriptor)


def _can_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


__all__ = ["held", "sweep"]
