"""A view of the file system of its own: what a run must not see is covered, /tmp and /dev/shm are private.

Unlike Landlock this also covers sockets that are files, and what is created later. Needs the right to
administer the machine, or a kernel that gives it to everybody inside a namespace of users.

Standard library only, any Python ≥ 3.6.
"""

import ctypes
import os
from typing import Dict, List, Sequence

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_NOSUID, _NODEV, _BIND, _REC, _SLAVE = 2, 4, 0x1000, 0x4000, 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)


def enter(is_privileged: bool, hidden: Sequence[str], shown: Sequence[str], scratch: str) -> None:
    """Give this process its own view.

    Args:
        hidden: real paths of folders or files that are covered.
        shown: real paths that stay where they are, also below what is covered.
        scratch: what is /tmp and /var/tmp from now on.
    """
    there = [path for path in shown if os.path.exists(path)]
    _unshare(is_privileged)
    _mount(None, "/", None, _REC | _SLAVE)
    # Opened in the new view: the kernel binds nothing of another one.
    kept = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in [*there, scratch]}
    view = _View(kept)
    plan = [(path, 0, view.cover) for path in hidden]
    plan += [(path, 0, lambda path: view.bind(path, scratch)) for path in ("/tmp", "/var/tmp")]
    plan += [("/dev/shm", 0, view.empty)]
    plan += [(path, 1, view.show) for path in there]
    for path, _, change in sorted(plan, key=lambda step: (step[0].count("/"), step[1])):
        change(path)
    for descriptor in kept.values():
        os.close(descriptor)


class _View:
    """What is covered so far. Paths come in the order of their depth."""

    def __init__(self, kept: Dict[str, int]) -> None:
        self._kept = kept
        self._is_covered: Dict[str, bool] = {}

    def cover(self, path: str) -> None:
        if self._covered_above(path) or not os.path.exists(path):
            return
        if os.path.isdir(path):
            _mount("none", path, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
        else:
            _mount("/dev/null", path, None, _BIND)
        self._is_covered[path] = True

    def empty(self, path: str) -> None:
        if os.path.isdir(path):
            _mount("none", path, "tmpfs", _NOSUID | _NODEV, "mode=1777")

    def bind(self, path: str, source: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            _mount(self._source(source), path, None, _BIND)
            self._is_covered[path] = True

    def show(self, path: str) -> None:
        if self._covered_above(path):
            source = self._source(path)
            _make_place_for(path, is_folder=os.path.isdir(source))
            _mount(source, path, None, _BIND | _REC)
        self._is_covered[path] = False

    def _source(self, path: str) -> str:
        return "/proc/self/fd/%d" % self._kept[path]

    def _covered_above(self, path: str) -> bool:
        above = [p for p in self._is_covered if path == p or path.startswith(p + "/")]
        return bool(above) and self._is_covered[max(above, key=len)]


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
