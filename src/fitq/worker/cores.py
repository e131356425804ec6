"""Cores of this machine that runs have for themselves: a lock file for each, held while its run lives.

Workers of one machine share the files, so that two runs which asked for a core each get different ones, in
whichever workers they are. A run that asked for none, or for more than are free, shares all with others.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fitq.logs import get_logger

log = get_logger(__name__)


def default_folder() -> Path:
    """Where the workers of this user find the locks of this machine."""
    return Path(tempfile.gettempdir()) / f"fitq-cores-{os.getuid()}"


@contextlib.contextmanager
def held_cores(cpus: float | None, folder: Path) -> Iterator[list[int]]:
    """The numbers of the cores that a run has for itself; none: it shares all of them.

    Args:
        cpus: how many it was granted; a part of one counts as a whole.
    """
    possible = sorted(os.sched_getaffinity(0))
    wanted = 0 if cpus is None else math.ceil(cpus)
    with contextlib.ExitStack() as locks:
        mine = list[int]()
        if 0 < wanted < len(possible) and _is_ours(folder):
            for core in possible:
                if len(mine) < wanted and _lock(locks, folder / str(core)):
                    mine.append(core)
        if len(mine) < wanted:
            locks.close()
            mine = []
        yield mine


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can hold or replace what lies there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError as exc:
        log.warning("cores_not_shared_out", error=str(exc))
        return False
    return folder.is_dir() and not folder.is_symlink() and facts.st_uid == os.getuid()


def _lock(locks: contextlib.ExitStack, file: Path) -> bool:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another run's
        os.close(descriptor)
        return False
    locks.callback(os.close, descriptor)
    return True
