"""The folder in which environments are built, once per machine, whatever runs beside or dies in between.

<environments>/
    built/<hash>/      a virtual environment; complete if it has `.ok`, which says what is in it
    building/          what is being made or thrown away; never used from here
    locks/<hash>       held shared by whoever uses it, exclusively by who builds or removes it
    packages/          uv's cache; files of environments are hard links to files in it
    pythons/           interpreters that uv fetched

Locks are the kernel's: who dies holds none. Packages and environments must lie on one file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fitq.environments.tool import Interrupted
from fitq.logs import get_logger

log = get_logger(__name__)
_LOOK_SECONDS = 0.1
OK = ".ok"


class Lock:
    """The right to use (shared) or to make and remove (exclusive) one environment on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, *, exclusive: bool, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Wait for it; also changes one kind into the other, with a moment in which it is free.

        Raises:
            Interrupted.
        """
        while not self.try_take(exclusive=exclusive):
            if interrupted():
                raise Interrupted
            time.sleep(_LOOK_SECONDS)

    def try_take(self, *, exclusive: bool) -> bool:
        """Whether it could be had at once."""
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def free(self) -> None:
        """Give it up for a moment of random length, so that of several who do one can have it."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        time.sleep(random.uniform(0, _LOOK_SECONDS))

    def shared_too(self) -> Lock:
        """One more shared lock on the same, for holders of one."""
        other = Lock(self._path)
        assert other.try_take(exclusive=False)
        return other

    def release(self) -> None:
        """Give it up for good. Twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Cache:
    """All environments of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages, self.pythons = folder / "packages", folder / "pythons"
        self._built, self._building, self._locks = folder / "built", folder / "building", folder / "locks"

    def make(self) -> None:
        """Make its folders, if they are missing."""
        for place in (self._built, self._building, self._locks, self.packages):
            place.mkdir(parents=True, exist_ok=True)

    def lock(self, name: str) -> Lock:
        """A lock that is not taken yet."""
        return Lock(self._locks / name)

    def built(self, name: str) -> Path:
        """Where an environment is, or would be."""
        return self._built / name

    def is_complete(self, name: str) -> bool:
        """Whether it was built to its end, and its interpreter is still there."""
        return (self.built(name) / OK).is_file() and (self.built(name) / "bin" / "python").exists()

    @contextlib.contextmanager
    def place_to_build(self, name: str) -> Iterator[Path]:
        """A fresh folder; afterwards its `env` is the environment, or all is gone. For who holds its lock."""
        for left in self._building.glob(f"{name}-*"):  # a builder that died
            shutil.rmtree(left, ignore_errors=True)
        place = self._building / f"{name}-{secrets.token_hex(4)}"
        try:
            place.mkdir()
            yield place
            self._throw_away(self.built(name))
            (place / "env").rename(self.built(name))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def use(self, name: str) -> None:
        """Remember that it was used now."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.built(name) / OK)

    def trim(self, limit_bytes: int) -> list[str]:
        """Remove the least recently used environments that nobody holds, until all fit; their hashes."""
        removed = []
        used = _bytes_below(self.folder)
        for name in self._oldest_first():
            if used <= limit_bytes:
                break
            if self._remove(name):
                removed.append(name)
                used = _bytes_below(self.folder)
        return removed

    def names(self) -> list[str]:
        """The hashes of all complete environments."""
        return [path.parent.name for path in self._built.glob(f"*/{OK}")]

    def cached_packages(self) -> set[str]:
        """Names of the packages that uv has kept wheels of."""
        found = [*self.packages.glob("wheels-v*/pypi/*"), *self.packages.glob("wheels-v*/index/*/*")]
        return {path.name for path in found if any(path.iterdir())}

    def _oldest_first(self) -> list[str]:
        marks = [(mark.stat().st_mtime, mark.parent.name) for mark in self._built.glob(f"*/{OK}")]
        return [name for _, name in sorted(marks)]

    def _remove(self, name: str) -> bool:
        lock = self.lock(name)
        try:
            if not lock.try_take(exclusive=True):
                return False
            self._throw_away(self.built(name))
        finally:
            lock.release()
        log.info("environment_removed", environment=name)
        return True

    def _throw_away(self, path: Path) -> None:
        """Gone at once for everybody, whatever becomes of this process meanwhile."""
        if path.exists():
            aside = self._building / f"{path.name}-{secrets.token_hex(4)}"
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def _bytes_below(folder: Path) -> int:
    """Bytes on disk; what is linked more than once counts once."""
    seen: set[int] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                facts = os.lstat(os.path.join(place, name))  # noqa: PTH118  tens of thousands of them
                if facts.st_nlink == 1 or facts.st_ino not in seen:
                    seen.add(facts.st_ino)
                    total += facts.st_blocks * 512
    return total
