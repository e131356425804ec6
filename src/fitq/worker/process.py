"""The run's process group: started, watched and ended; nothing of it survives its run."""

from __future__ import annotations

import abc
import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import psutil

_LAUNCH = Path(__file__).with_name("launch.py")
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the one that inherits its runs' orphans, so that it can end them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class RunProcess(abc.ABC):
    """One process group with stdout and stderr merged into one pipe.

    What is told about its end differs by how it was started: see `ColdProcess` and `ForkedProcess`.
    """

    own_pids: ClassVar[set[int]] = set()  #: children that somebody waits for: not orphans when zombies

    def __init__(self, run_id: str, pid: int, output: int, end: int) -> None:
        """`output` and `end` are descriptors that this object closes; `end` is readable after the end."""
        self._run_id, self._pid, self._end = run_id, pid, end
        self._began = time.monotonic()
        self._pipe = open(output, "rb", buffering=0)  # noqa: SIM115  a descriptor; `sweep` closes it
        for descriptor in (output, end):
            os.set_blocking(descriptor, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._selector.register(self._end, selectors.EVENT_READ)
        self.exit_code: int | None = None
        self.cpu_seconds = 0.0
        self.peak_memory_bytes = 0
        self.was_lost = False  #: it ended because the platform's own process that held it ended

    @abc.abstractmethod
    def poll(self) -> bool:
        """Whether the process has ended; collects its exit code and what it used."""

    @property
    def seconds(self) -> float:
        """Wall time since it started."""
        return time.monotonic() - self._began

    def read(self, timeout_seconds: float) -> bytes:
        """Output that is there, or that comes within the time; empty otherwise, or when it ends."""
        ready = [key.fileobj for key, _ in self._selector.select(timeout_seconds)]
        if self._pipe not in ready:
            return b""
        data = self._pipe.read(1 << 16)
        if data == b"":  # closed: the script closed its stdout, or everything ended
            self._selector.unregister(self._pipe)
        return data or b""

    def memory_bytes(self) -> int:
        """Resident memory of all processes of the run, shared pages counted once per process."""
        total = 0
        for process in self._members():
            with contextlib.suppress(psutil.Error):
                total += self._memory_of(process)
        return total

    def _memory_of(self, process: psutil.Process) -> int:
        return int(process.memory_info().rss)

    def terminate(self, grace_seconds: float) -> bytes:
        """SIGTERM to the group, a grace, then SIGKILL to all that is left; returns last output."""
        self._signal_group(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        output = b""
        while not self.poll() and time.monotonic() < deadline:
            output += self.read(0.05)
        return output + self.sweep()

    def sweep(self) -> bytes:
        """Kill every process of the run that still lives; returns what was left in the pipe."""
        self._signal_group(signal.SIGKILL)
        for process in self._members():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._await_end()
        self._reap_adopted()
        rest = b"".join(iter(lambda: self.read(0), b""))
        self._selector.close()
        self._pipe.close()
        os.close(self._end)
        return rest

    def _await_end(self) -> None:
        while not self.poll():
            time.sleep(0.005)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _members(self) -> list[psutil.Process]:
        """Our descendants that carry this run's id: also those that left its group."""
        return [p for p in psutil.Process().children(recursive=True) if self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == self._pid:
            return True
        try:
            return bool(process.environ().get("FITQ_RUN_ID") == self._run_id)
        except psutil.Error:
            return False

    def _reap_adopted(self) -> None:
        """Orphans of the run became our children; leave no zombie of theirs."""
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if process.status() == psutil.STATUS_ZOMBIE and process.pid not in self.own_pids:
                    os.waitpid(process.pid, os.WNOHANG)


class ColdProcess(RunProcess):
    """A program started afresh, as the worker's own child."""

    def __init__(self, command: list[str], *, cwd: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
        pid = self._process.pid
        self.own_pids.add(pid)
        assert self._process.stdout is not None
        output = os.dup(self._process.stdout.fileno())
        self._process.stdout.close()
        super().__init__(environment["FITQ_RUN_ID"], pid, output, os.pidfd_open(pid))

    def poll(self) -> bool:
        if self.exit_code is not None:
            return True
        pid, status, used = os.wait4(self._pid, os.WNOHANG)
        if pid == 0:
            return False
        self.exit_code = os.waitstatus_to_exitcode(status)
        self._process.returncode = self.exit_code  # subprocess must not wait for it again
        self.own_pids.discard(self._pid)
        self.cpu_seconds = used.ru_utime + used.ru_stime
        self.peak_memory_bytes = used.ru_maxrss * 1024
        return True
