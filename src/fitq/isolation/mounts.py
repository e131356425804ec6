"""A view of the file system of its own: what a run must not see is covered, /tmp and /dev/shm are private.

Unlike Landlock this also covers sockets that are files, and what is created later. Needs the right to
administer the machine, or a kernel that gives it to everybody inside a namespace of users.

Standard library only, any Python ≥ 3.6.
"""

import ctypes
import os
from typing import Dict, List, Sequence

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 1, 2, 4, 8, 32
_BIND, _REC, _SLAVE = 0x1000, 0x4000, 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)


def enter(
    is_privileged: bool, hidden: Sequence[str], shown: Sequence[str], writable: Sequence[str], scratch: str
) -> None:
    """Give this process its own view.

    Args:
        hidden: real paths of folders or files that are covered.
        shown: real paths that stay where they are, also below what is covered.
        writable: those of them that can be written to there too. For Landlock, what is shown below a folder
            belongs to it, wherever it comes from.
        scratch: what is /tmp and /var/tmp from now on.
    """
    there = [path for path in shown if os.path.exists(path)]
    _unshare(is_privileged)
    _mount(None, "/", None, _REC | _SLAVE)
    # Opened in the new view: the kernel binds nothing of another one.
    kept = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in [*there, scratch]}
    view = _View(kept, writable)
    plan = [(path, 0, view.cover) for path in hidden]
    plan += [(path, 0, lambda path: view.bind(path, scratch)) for path in ("/tmp", "/var/tmp")]
    plan += [("/dev/shm", 0, view.empty)]
    plan += [(path, 1, view.show) for path in there]
    for path, _, change in sorted(plan, key=lambda step: (step[0].count("/"), step[1])):
        change(path)
    for descriptor in kept.values():
        os.close(descriptor)


_COVERED, _READABLE, _OPEN = "covered", "readable", "open"


class _View:
    """What became of places so far. Paths come in the order of their depth."""

    def __init__(self, kept: Dict[str, int], writable: Sequence[str]) -> None:
        self._kept, self._writable = kept, writable
        self._became: Dict[str, str] = {}

    def cover(self, path: str) -> None:
        if self._now(path) == _COVERED or not os.path.exists(path):
            return
        if os.path.isdir(path):
            _mount("none", path, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
        else:
            _mount("/dev/null", path, None, _BIND)
        self._became[path] = _COVERED

    def empty(self, path: str) -> None:
        if os.path.isdir(path):
            _mount("none", path, "tmpfs", _NOSUID | _NODEV, "mode=1777")

    def bind(self, path: str, source: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            _mount(self._source(source), path, None, _BIND)
            self._became[path] = _COVERED

    def show(self, path: str) -> None:
        now, wanted = self._now(path), _OPEN if path in self._writable else _READABLE
        if now in (_OPEN, wanted):
            self._became[path] = now
            return
        source = self._source(path)
        if not os.path.exists(path):
            _make_place_for(path, is_folder=os.path.isdir(source))
        _mount(source, path, None, _BIND | _REC)
        if wanted == _READABLE:
            # Where we may not administer the machine, what was forbidden of it has to stay so.
            forbidden = os.statvfs(path).f_flag & (_NOSUID | _NODEV | _NOEXEC)
            _mount(None, path, None, _REMOUNT | _BIND | _RDONLY | forbidden)
        self._became[path] = wanted

    def _source(self, path: str) -> str:
        return "/proc/self/fd/%d" % self._kept[path]

    def _now(self, path: str) -> str:
        above = [p for p in self._became if path == p or path.startswith(p + "/")]
        return self._became[max(above, key=len)] if above else _OPEN


def _make_place_for(path: str, is_folder: bool) -> None:
    folder = path if is_folder else os.path.dirname(path)
    umask = os.umask(0o022)
    try:
        os.makedirs(folder, exist_ok=True)
        if not is_folder:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    finally:
        os.umask(umask)


def _unshare(is_privileged: bool) -> None:
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(_NEWNS if is_privileged else _NEWNS | _NEWUSER), "unshare")
    if not is_privileged:
        lines = (
            ("setgroups", "deny"),
            ("uid_map", "%d %d 1" % (uid, uid)),
            ("gid_map", "%d %d 1" % (gid, gid)),
        )
        for name, line in lines:
            with open("/proc/self/" + name, "w") as file:
                file.write(line)


def _mount(source: object, target: str, kind: object, flags: int, options: str = "") -> None:
    names: List[object] = [None if n is None else os.fsencode(str(n)) for n in (source, target, kind)]
    data = options.encode() if options else None
    _check(_libc.mount(*names, ctypes.c_ulong(flags), data), "mount " + target)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))
