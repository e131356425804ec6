"""`fitq up`, `down` and `status`: a stack as a program of its own, in the foreground or behind it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Container, Sequence
from types import FrameType

import psutil

from fitq.errors import NotFound, Unavailable
from fitq.local.home import Home
from fitq.local.stack import Stack

_PR_SET_CHILD_SUBREAPER = 36
_DOWN_SECONDS = 120.0
_DETACHED_READY_SECONDS = 150.0


class _Interrupted(BaseException):
    """A signal came while starting."""


class _Signals:
    """What SIGINT, SIGTERM and SIGHUP mean: first stop in order, then stop at once."""

    def __init__(self, stack: Stack) -> None:
        self.told = threading.Event()
        self.starting = True
        self._stack = stack
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self.told.is_set():
            self._stack.kill()
            return
        self.told.set()
        if self.starting:
            raise _Interrupted


def serve(stack: Stack, on_ready: Callable[[threading.Event], None], on_stop: Callable[[], None]) -> None:
    """Run a stack until SIGINT, SIGTERM or SIGHUP; a second signal ends it at once. Leaves no process.

    Args:
        on_ready: called once everything answers, with the event that is set by the first signal (or by
            whoever wants the stack to stop).
        on_stop: called when it is set.
    """
    _adopt_orphans()
    signals = _Signals(stack)
    try:
        stack.start()  # stops again what it started, if it does not come to its end
        signals.starting = False
        on_ready(signals.told)
        stack.watch(signals.told, beside=lambda: _take_leave({p.process.pid for p in stack.programs}))
        on_stop()
    except _Interrupted:
        on_stop()
    finally:
        stack.stop()
        sweep()


def _adopt_orphans() -> None:
    """Processes whose parent among ours died become our children, so that `sweep` finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _take_leave(ours: Container[int | None]) -> None:
    """Of orphans that ended: nobody else does, and they would stay as zombies. Our own are waited for."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(ChildProcessError):
        while (
            one := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        ) and one.si_pid not in ours:
            os.waitpid(one.si_pid, 0)


def sweep() -> None:
    """Kill and reap whatever still lives below this process."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)


def detach(home: Home, arguments: Sequence[str]) -> None:
    """Start `fitq up` behind this process and return when it is ready.

    Args:
        arguments: of `fitq up`, without --detach.

    Raises:
        Unavailable: it ended or is not ready in time; carries what it said.
    """
    home.logs.mkdir(parents=True, exist_ok=True)
    said = home.logs / "up.log"
    with said.open("ab") as output:
        begin = output.tell()
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "fitq", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _DETACHED_READY_SECONDS
    while not (home.state().get("ready") and home.state().get("pid") == child.pid):
        if child.poll() is not None:
            raise StartFailed(said.read_bytes()[begin:].decode(errors="replace"), child.returncode)
        if time.monotonic() > deadline:
            child.terminate()
            raise Unavailable("The platform was not ready in time.", hint=f"Its log: {said}")
        time.sleep(0.05)
    child.returncode = 0  # it lives on; nobody here waits for it


class StartFailed(Exception):
    """What a detached `fitq up` said before it ended."""

    def __init__(self, said: str, exit_code: int) -> None:
        super().__init__(said)
        self.said = said
        self.exit_code = exit_code


def down(home: Home) -> None:
    """Stop the platform on a data folder and wait until it is gone.

    Raises:
        NotFound: none runs there.
        Unavailable: it does not stop.
    """
    pid = home.state().get("pid")
    if not home.is_held or not isinstance(pid, int):
        raise NotFound(f"No platform is running on {home.folder}.", hint="Start one with: fitq up")
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.terminate()
        deadline = time.monotonic() + _DOWN_SECONDS
        while not _is_gone(home, process):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Process {pid} has not stopped within {_DOWN_SECONDS:.0f} s.",
                    hint=f"Look at {home.logs}; kill {pid} ends it and everything it started.",
                )
            time.sleep(0.05)


def _is_gone(home: Home, process: psutil.Process) -> bool:
    return not home.is_held and process.status() == psutil.STATUS_ZOMBIE
