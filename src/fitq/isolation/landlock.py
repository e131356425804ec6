"""Landlock: a process gives up rights for itself and everything it will ever start. Linux 5.19 and later.

It needs no privilege, works for root too, and holds below every other rung: a process under it cannot mount,
cannot trace or look into processes outside, and from Linux 6.12 on cannot signal them.

Not covered by the kernel: sockets that are files, UDP, and changing the mode or owner of a file.

Standard library only, any Python ≥ 3.6.
"""

import ctypes
import os
import stat
import struct
from typing import Iterator, Sequence

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_MAKE_DEVICES = 1 << 6 | 1 << 11  # never granted to anybody
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
#: Version 1 cannot move a file from one folder to another, which too many programs do.
OLDEST, WITH_SCOPES = 2, 6
#: What programs open below /dev. A disk, or the machine's memory, is not among it.
_DEVICES = (
    "null zero full random urandom tty ptmx pts shm mqueue "
    "nvidiactl nvidia-uvm nvidia-uvm-tools nvidia-caps kfd dri infiniband"
).split()

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """What this kernel knows; 0 if nothing."""
    return max(0, int(_libc.syscall(_CREATE, None, 0, _VERSION)))


def restrict(readable: Sequence[str], writable: Sequence[str], hidden: Sequence[str]) -> None:
    """From now on this process reads all but what is hidden, and writes only what is writable.

    Args:
        readable, writable: trees that are open also when they lie below a hidden one.
        hidden: real paths of trees that are closed. Their neighbours are listed now: what is created later
            beside a hidden tree, or beside a folder above it, stays closed too.
    """
    abi = version()
    known = (1 << (13 if abi < 2 else 14 if abi < 3 else 15)) - 1
    attributes = [known]
    if abi >= 4:
        attributes.append(0)  # all ports
    if abi >= WITH_SCOPES:
        attributes.append(_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    packed = struct.pack("%dQ" % len(attributes), *attributes)
    ruleset = _call(_CREATE, ctypes.c_char_p(packed), ctypes.c_size_t(len(packed)), 0)
    for tree in _visible("/", [*hidden, "/dev"]):
        _allow(ruleset, tree, _READ)
    if not hidden:
        _allow(ruleset, "/", _READ_DIR)
    for tree in readable:
        for part in _visible(tree, hidden):
            _allow(ruleset, part, _READ)
    for name in _devices():
        _allow(ruleset, name, known & ~_MAKE_DEVICES)
    for tree in writable:
        for part in _visible(tree, hidden):
            _allow(ruleset, part, known & ~_MAKE_DEVICES)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _devices() -> Iterator[str]:
    numbered = [n for n in os.listdir("/dev") if n.startswith("nvidia") and n[6:].isdigit()]
    return (os.path.join("/dev", name) for name in _DEVICES + numbered)


def _visible(top: str, hidden: Sequence[str]) -> Iterator[str]:
    """The largest trees at or below `top` in which nothing is hidden."""
    if top in hidden:
        return
    below = top.rstrip("/") + "/"
    if not any(place.startswith(below) for place in hidden):
        yield top
        return
    try:
        entries = sorted(os.listdir(top))
    except OSError:
        return
    for name in entries:
        if not os.path.islink(below + name):
            for part in _visible(below + name, hidden):
                yield part


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is not there
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, place)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, "Landlock: " + os.strerror(code))
    return result
