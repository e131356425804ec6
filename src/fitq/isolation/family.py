"""All processes of one run, kept by the process that started the first of them.

The keeper is a *subreaper*: whatever the run leaves behind (daemons, double forks, programs started with
an empty environment) becomes its child, so nothing can get away from it but by dying.

Standard library only, any Python ≥ 3.6.
"""

import ctypes
import os
import signal
import time
from typing import Dict, List, NoReturn, Optional

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: A process that the kernel holds cannot be killed; the run's end is told without it.
_SECONDS_TO_DIE = 20.0

_WORKER_ENDED = signal.SIGHUP  #: to a keeper, from the kernel
_usually = signal.getsignal(_WORKER_ENDED)  #: what whoever started us wants done with it

_libc = ctypes.CDLL(None)


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that comes."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def end_with(worker: int) -> None:
    """Have the kernel tell this keeper when its worker ends, so that all it keeps ends first.

    A keeper that was killed instead would leave daemons of its run to nobody. A fork of it that is to become
    something else calls `die_with` and `be_no_keeper`.
    """
    signal.signal(_WORKER_ENDED, _end_family)
    _libc.prctl(_PR_SET_PDEATHSIG, _WORKER_ENDED, 0, 0, 0)
    if os.getppid() != worker:  # it died before the line above
        _end_family()


def be_no_keeper() -> None:
    """Undo in a fork what `end_with` did with a signal."""
    signal.signal(_WORKER_ENDED, _usually)


def _end_family(*_: object) -> NoReturn:
    deadline = time.monotonic() + _SECONDS_TO_DIE
    while _has_children() and time.monotonic() < deadline:
        _kill_all_below()
    os._exit(1)


def _has_children() -> bool:
    """Whether some live; those that ended are taken leave of."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _kill_all_below() -> None:
    for pid in _below(os.getpid()):
        _kill(pid)
    time.sleep(0.001)


def adopt_orphans() -> None:
    """Make this process the one that inherits what its descendants leave behind."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Family:
    """The run's first process and everything it started. All other children of this process are its."""

    def __init__(self, pid: int, shared_kib: int = 0) -> None:
        """`shared_kib`: memory that the first process had from its parent, and that is not the run's."""
        self.pid, self.shared_kib = pid, shared_kib
        self.status: Optional[int] = None
        self.cpu_seconds = 0.0
        self.peak_kib = 0
        self.problem = b""  #: why the first process could not be confined; then it ran nothing of the run's

    def see_through(self) -> None:
        """Wait until the first process ends, then end the others."""
        while self.status is None:
            self._collect(0)
        deadline = time.monotonic() + _SECONDS_TO_DIE
        while self._collect(os.WNOHANG) is not None and time.monotonic() < deadline:
            _kill_all_below()

    @property
    def report(self) -> bytes:
        """The last line that a worker hears of it: wait status, CPU seconds, peak KiB, and a problem."""
        used = b"%d %.6f %d" % (self.status or 0, self.cpu_seconds, self.peak_kib)
        return (used + b" " + self.problem).rstrip() + b"\n"

    def _collect(self, options: int) -> Optional[int]:
        """Take note of children that ended: the first process's id if it did, 0 if some live, or None."""
        while True:
            try:
                pid, status, used = os.wait4(-1, options)
            except ChildProcessError:
                return None
            if pid == 0:
                return 0
            self.cpu_seconds += used.ru_utime + used.ru_stime
            self.peak_kib = max(self.peak_kib, used.ru_maxrss - self.shared_kib)
            if pid == self.pid:
                self.status = status
                return pid


def hear(pipe: int) -> bytes:
    """All that is said until the other end is closed, on one line."""
    heard = b""
    while True:
        piece = os.read(pipe, 4096)
        if not piece:
            os.close(pipe)
            return b" ".join(heard.split())
        heard += piece


def say(pipe: int, text: bytes) -> None:
    """Tell the worker, if it still listens."""
    try:
        os.write(pipe, text)
    except OSError:
        pass


def _below(top: int) -> List[int]:
    """Every living process that descends from `top`."""
    children: Dict[int, List[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent_of(name), []).append(int(name))
    found, todo = [], [top]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _parent_of(pid: str) -> int:
    try:
        with open("/proc/%s/stat" % pid, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
