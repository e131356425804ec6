"""One program as several processes: forks of this one, each replaced when it ends before it is told to.

For what a single Python process cannot do faster on more cores. The forks share nothing but what was
imported; each opens its own connections. They end with this process, in order: SIGTERM here is SIGTERM to
each, and so is the end of this process, however that comes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Set

from fitq.logs import get_logger

log = get_logger(__name__)
_PR_SET_PDEATHSIG = 1
_TOLD = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
#: One that ends at once again and again is not started more often than that.
_PAUSE_SECONDS = 1.0


def keep_forks(count: int, serve: Callable[[int], None], *, stop_seconds: float) -> None:
    """Have `count` forks run `serve(number)`, numbered from 0, until SIGTERM or SIGINT; then end them.

    Call it in the main thread of a process that has no other yet.

    Args:
        serve: returns when its process was told to end; whatever it raises is logged.
        stop_seconds: between SIGTERM and SIGKILL.
    """
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
    forks = _Forks(serve, usual)
    try:
        while not forks.is_stopping:
            forks.fill(count)
            forks.hear(seconds=_PAUSE_SECONDS)
        forks.stop(stop_seconds)
    finally:
        forks.kill()
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


class _Forks:
    """Those that run, and since when each number was last started."""

    def __init__(self, serve: Callable[[int], None], signals: Set[int]) -> None:
        self.is_stopping = False
        self._serve, self._signals = serve, signals
        self._running: dict[int, int] = {}  #: process id → number
        self._started: dict[int, float] = {}  #: number → when, on the monotonic clock

    def fill(self, count: int) -> None:
        """Start those that are missing, unless they were started a moment ago."""
        now = time.monotonic()
        for number in set(range(count)) - set(self._running.values()):
            if now - self._started.get(number, -_PAUSE_SECONDS) >= _PAUSE_SECONDS:
                self._started[number] = now
                self._running[self._forked(number)] = number

    def hear(self, seconds: float) -> None:
        """Wait for a signal, and take note of it and of those that ended."""
        told = signal.sigtimedwait(_TOLD, seconds)
        if told is not None and told.si_signo != signal.SIGCHLD:
            self.is_stopping = True
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            number = self._running.pop(pid, None)
            if number is not None and not self.is_stopping:
                code = os.waitstatus_to_exitcode(status)
                log.error("process_ended", number=number, pid=pid, exit_code=code)

    def stop(self, seconds: float) -> None:
        """SIGTERM to all, and wait until they are gone, at most so long."""
        deadline = time.monotonic() + seconds
        self._send(signal.SIGTERM)
        while self._running and (left := deadline - time.monotonic()) > 0:
            self.hear(seconds=left)

    def kill(self) -> None:
        """End at once what is left."""
        self._send(signal.SIGKILL)
        for pid in self._running:
            os.waitpid(pid, 0)
        self._running.clear()

    def _send(self, number: signal.Signals) -> None:
        for pid in self._running:
            os.kill(pid, number)  # not yet waited for, so the id is still theirs

    def _forked(self, number: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            _end_with(parent)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._signals)
            self._serve(number)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # nothing that the parent left open is ours to close


def _end_with(parent: int) -> None:
    """Have the kernel tell this process to end when its parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
