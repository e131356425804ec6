"""Folders of runs whose worker is gone: the workers that share their place look for them.

Each folder has a file `lock`, which its worker holds for as long as it lives: the kernel lets go of it,
however the worker ends. Several workers, of several containers too, may share the place of these folders.
The file says which machine that kernel is of: file systems of a network may keep locks to each machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fitq.logs import get_logger

log = get_logger(__name__)
_LOCK = "lock"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Abandoned(NamedTuple):
    """A folder that nobody holds, as far as can be seen from here."""

    name: str
    is_dead: bool  #: its worker; False: it was of another machine, or of this one before it was last started


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """While it is in use, nobody takes it for abandoned."""
    fresh = folder / f".{_LOCK}"
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, _machine())
        fresh.rename(folder / _LOCK)  # held before anybody can find it
        yield
    finally:
        os.close(descriptor)


def sweep(place: Path, end: Callable[[Abandoned], bool]) -> None:
    """Remove the folders below a place that nobody holds any more.

    Args:
        end: ends what else there is of an attempt; whether its folder may go.

    Raises:
        Unavailable: `end` could not; the folder stays for the next sweep.
    """
    for folder in _inside(place):
        with _taken(folder) as abandoned:
            if abandoned is not None and end(abandoned):
                discard(folder)
                log.info("abandoned_run_removed", folder=folder.name)


def discard(folder: Path) -> None:
    """Remove it, its lock last: what is left if this process dies meanwhile is found again."""
    for path in _inside(folder):
        if path.name != _LOCK:
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.unlink()  # a file, or a link
    shutil.rmtree(folder, ignore_errors=True)


def _inside(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):  # it is not there, or not any more
        return sorted(folder.iterdir())
    return []


@contextlib.contextmanager
def _taken(folder: Path) -> Iterator[Abandoned | None]:
    """What it is if nobody holds it. Then nobody else sweeps it meanwhile."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # not a run's, or not there any more
        yield None
        return
    try:
        yield _abandoned(folder.name, descriptor)
    finally:
        os.close(descriptor)


def _abandoned(name: str, descriptor: int) -> Abandoned | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = os.read(descriptor, 1000)
    except OSError:
        return None
    return Abandoned(name, is_dead=holder in (b"", _machine()))  # workers of older versions write nothing


@functools.cache
def _machine() -> bytes:
    """Names this machine from its start to its end, in all of its containers."""
    try:
        return _BOOT.read_bytes().strip()
    except OSError:  # not Linux
        return socket.gethostname().encode()


__all__ = ["Abandoned", "discard", "held", "sweep"]
