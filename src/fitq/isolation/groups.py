"""Control groups: the kernel itself limits a run's memory and processes, and tells when it ended one.

Version 1 needs the `memory` and `pids` hierarchies writable, version 2 a delegated group whose controllers
may be passed on. Where neither is so, the worker watches instead (`worker/memory.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_CONTROLLERS = ("memory", "pids")
_ROOT = Path("/sys/fs/cgroup")
_PEAKS = ("memory.max_usage_in_bytes", "memory.peak")
_SECONDS_TO_EMPTY = 5.0
_SECONDS_TO_JOIN = 600.0  #: from a group's making to its first process, with all the time in the world
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Group:
    """One run's place in each hierarchy."""

    folders: tuple[Path, ...] = ()

    @property
    def join_files(self) -> list[str]:
        """A process that writes `0` to each of these belongs to it."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    @property
    def ended_for_memory(self) -> bool:
        """Whether the kernel killed a process of it because its memory was used up."""
        files = [folder / name for folder in self.folders for name in ("memory.oom_control", "memory.events")]
        return any(_count(file, "oom_kill") > 0 for file in files)

    @property
    def peak_bytes(self) -> int:
        """Most memory it had at once, file cache included."""
        files = [folder / name for folder in self.folders for name in _PEAKS if (folder / name).exists()]
        return max((int(file.read_text()) for file in files), default=0)

    def end(self) -> None:
        """Kill every process in it, and remove it. One that is not there is fine."""
        deadline = time.monotonic() + _SECONDS_TO_EMPTY
        while (pids := self._pids()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self.remove()

    def _pids(self) -> list[int]:
        """Of its processes, those that can be seen from here: the kernel says 0 for another."""
        found: list[int] = []
        for file in self.join_files:
            with contextlib.suppress(OSError):
                found += map(int, Path(file).read_text().split())
        return [pid for pid in found if pid]

    def remove(self) -> None:
        """Once no process is left. Twice is fine."""
        for folder in self.folders:
            deadline = time.monotonic() + _SECONDS_TO_EMPTY
            while folder.exists() and time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except OSError:  # the kernel has not yet taken leave of the last process
                    time.sleep(0.01)


@dataclass(frozen=True)
class Groups:
    """Where this worker makes groups: a folder per hierarchy, or one for both in version 2."""

    parents: tuple[Path, ...]

    def of(self, name: str) -> Group:
        """The group of that name, whether it is there or not."""
        return Group(tuple(parent / name for parent in self.parents))

    def make(self, name: str, *, memory_bytes: int | None, processes: int) -> Group:
        """A group with limits.

        Raises:
            OSError: it cannot be made.
        """
        group = self.of(name)
        # The kernel rounds down to whole pages: a run would end with less than it was granted.
        most = None if memory_bytes is None else -(-memory_bytes // _PAGE_BYTES) * _PAGE_BYTES
        limits = {
            "memory.limit_in_bytes": most,
            "memory.max": most,
            "memory.oom.group": 1,
            "pids.max": processes,
        }
        for folder in group.folders:
            folder.mkdir(exist_ok=True)
            for file, limit in limits.items():
                if limit is not None and (folder / file).exists():
                    (folder / file).write_text(str(limit))
        return group

    def sweep(self, *, older_than_seconds: float = _SECONDS_TO_JOIN) -> int:
        """Remove what workers that were killed left behind; returns how many folders.

        The kernel removes no group that has a process. One that was made a moment ago may get one yet.
        """
        removed = 0
        for folder in [folder for parent in self.parents for folder in parent.glob("fitq-*")]:
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_ctime > older_than_seconds:
                    folder.rmdir()
                    removed += 1
        return removed


def find_groups() -> Groups | None:
    """Where groups can be made; None: nowhere. Tried by making one."""
    parents = _version_1() or _version_2()
    if not parents:
        return None
    found = Groups(parents)
    try:
        found.make(f"fitq-probe-{os.getpid()}", memory_bytes=1 << 30, processes=10).remove()
    except OSError:
        return None
    found.sweep()
    return found


def _version_1() -> tuple[Path, ...]:
    own = _own()
    places = [_ROOT / name / own[name].lstrip("/") for name in _CONTROLLERS if name in own]
    return tuple(places) if len(places) == len(_CONTROLLERS) and all(p.is_dir() for p in places) else ()


def _version_2() -> tuple[Path, ...]:
    place = _ROOT / _own().get("", "/").lstrip("/")
    with contextlib.suppress(OSError):
        if set(_CONTROLLERS) <= set((place / "cgroup.subtree_control").read_text().split()):
            return (place,)
        # Refused while the group has processes of its own, as is usual: then it is not for us.
        (place / "cgroup.subtree_control").write_text("+memory +pids")
        return (place,)
    return ()


def _own() -> dict[str, str]:
    """This process's group by controller; that of version 2 under the empty name."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _count(file: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
