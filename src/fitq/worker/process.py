"""A run's processes: started, watched and ended; nothing of them survives the run.

Each run has a *keeper*, a process of ours that started its first process and inherits all that it leaves
behind (`isolation/family.py`): the warm parent, or for a run that starts afresh `isolation/launch.py`.
The keeper ends what is left when the first process ends, and reports then.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import psutil

from fitq.isolation import launch
from fitq.isolation.family import adopt_orphans
from fitq.isolation.groups import Group
from fitq.worker.memory import memory_of

_LAUNCH = Path(launch.__file__)
#: From the last SIGKILL to the keeper's report. It kills all that is left, which may be many.
_SECONDS_TO_REPORT = 30.0
_SECONDS_TO_START = 30.0

#: Is given output piece by piece: a run that is being ended may print faster than anybody could keep it.
Take = Callable[[bytes], None]


def ignored(_: bytes) -> None:
    """For output that nobody wants."""


class RunProcess(abc.ABC):
    """The first process of a run, in a session of its own, with stdout and stderr merged into one pipe.

    How its keeper is ended differs by how it was started: see `ColdProcess` and `ForkedProcess`.
    """

    own_pids: ClassVar[set[int]] = set()  #: children that somebody waits for: not orphans when zombies

    def __init__(self, run_id: str, keeper: int, pid: int, output: int, reports: int) -> None:
        """`output` and `reports` are descriptors that this object closes."""
        self._run_id, self._keeper, self._pid, self._reports = run_id, keeper, pid, reports
        self._began = time.monotonic()
        self._pipe = open(output, "rb", buffering=0)  # noqa: SIM115  a descriptor; `sweep` closes it
        for descriptor in (output, reports):
            os.set_blocking(descriptor, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._selector.register(self._reports, selectors.EVENT_READ)
        self._report = b""
        self.exit_code: int | None = None
        self.cpu_seconds = 0.0
        self.peak_memory_bytes = 0
        self.group = Group()  #: the kernel's limits, which it was started under
        self.problem = ""  #: why it could not be confined; nothing of the run's was executed then
        self.was_lost = False  #: it ended because the platform's own process that kept it ended

    @abc.abstractmethod
    def end_keeper(self) -> None:
        """SIGKILL to the keeper; by its death the kernel ends the first process."""

    @property
    def seconds(self) -> float:
        """Wall time since it started."""
        return time.monotonic() - self._began

    def poll(self) -> bool:
        """Whether all of it has ended; takes over its exit code and what it used."""
        if self.exit_code is not None:
            return True
        try:
            piece = os.read(self._reports, 4096)
        except BlockingIOError:
            return False
        self._report += piece
        if not piece:  # the keeper died, and the first process with it
            self.exit_code, self.was_lost = -signal.SIGKILL, True
        elif self._report.endswith(b"\n"):
            status, cpu_seconds, peak_kib, *problem = self._report.split(maxsplit=3)
            self.problem = b"".join(problem).decode("utf-8", "replace").strip()
            self.exit_code = os.waitstatus_to_exitcode(int(status))
            self.cpu_seconds, self.peak_memory_bytes = float(cpu_seconds), int(peak_kib) * 1024
        return self.exit_code is not None

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
        """Memory that all processes of the run use now; what several share counts once."""
        with contextlib.suppress(psutil.Error):
            return memory_of(psutil.Process(self._keeper).children(recursive=True))
        return 0

    def terminate(self, grace_seconds: float, take: Take = ignored) -> None:
        """SIGTERM to the group, a grace, SIGKILL to all that is left; `take` is given its last output."""
        self._signal_group(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while not self.poll() and time.monotonic() < deadline:
            take(self.read(0.05))
        self.sweep(take)

    def sweep(self, take: Take = ignored) -> None:
        """End every process of the run that still lives; `take` is given what was left in the pipe."""
        self._end_all(take)
        while piece := self.read(0):
            take(piece)
        self._selector.close()
        self._pipe.close()
        os.close(self._reports)
        if self.was_lost:
            self._end_what_lost_its_keeper()

    def _end_all(self, take: Take) -> None:
        deadline = time.monotonic() + _SECONDS_TO_REPORT
        while not self.poll():
            self._signal_group(signal.SIGKILL)
            take(self.read(0.05))
            if time.monotonic() > deadline:  # it was stopped
                self.end_keeper()

    def _signal_group(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            for send in (os.killpg, os.kill):  # the first process may have joined another group
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    send(self._pid, number)

    def _end_what_lost_its_keeper(self) -> None:
        """Orphans of a keeper that was killed are ours now; the run's id tells whose they were."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.environ().get("FITQ_RUN_ID") == self._run_id:
                    process.kill()
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if process.status() == psutil.STATUS_ZOMBIE and process.pid not in self.own_pids:
                    os.waitpid(process.pid, os.WNOHANG)


class ColdProcess(RunProcess):
    """A program started afresh, with a keeper of its own."""

    def __init__(
        self, command: list[str], *, cwd: Path, environment: dict[str, str], plan: Mapping[str, Any]
    ) -> None:
        reports, theirs = os.pipe()
        launcher = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(theirs)]
        try:
            self._process = subprocess.Popen(
                [*launcher, json.dumps(plan), str(cwd), *command],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            os.close(reports)
            raise
        finally:
            os.close(theirs)
        self.own_pids.add(self._process.pid)
        assert self._process.stdout is not None
        output = os.dup(self._process.stdout.fileno())
        self._process.stdout.close()
        pid = pid_from(reports, _SECONDS_TO_START) or self._process.pid
        super().__init__(environment["FITQ_RUN_ID"], self._process.pid, pid, output, reports)

    def end_keeper(self) -> None:
        self._process.kill()

    def sweep(self, take: Take = ignored) -> None:
        super().sweep(take)
        self._process.wait()
        self.own_pids.discard(self._process.pid)


def pid_from(reports: int, seconds: float) -> int | None:
    """The first process's id, as its keeper says it; None if it does not within the time, or ever."""
    line, deadline = b"", time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(reports, selectors.EVENT_READ)
        while not line.endswith(b"\n"):  # byte by byte: the end of a short run may follow
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            piece = os.read(reports, 1)
            if not piece:
                return None
            line += piece
    return int(line)


__all__ = ["ColdProcess", "RunProcess", "Take", "adopt_orphans", "ignored", "pid_from"]
