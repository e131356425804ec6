"""Folders of runs whose worker is gone: a worker that starts removes them.

Each folder has a file `lock`, which its worker holds for as long as it lives: the kernel lets go of it,
however the worker ends. Several workers, of several containers too, may share the place of these folders.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
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


def sweep(place: Path) -> None:
    """Remove the folders below a place that nobody holds any more."""
    with contextlib.suppress(OSError):  # there is no such place yet
        for folder in sorted(place.iterdir()):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                log.info("abandoned_run_removed", folder=folder.name)


def _is_abandoned(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # not a run's, or not there any more
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


__all__ = ["held", "sweep"]
