"""A run's process as a fork of the warm parent, which reports its end on a pipe (see `warm.py`)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil

from fitq.worker.process import RunProcess

_SECONDS_TO_REPORT = 10.0


class ForkedProcess(RunProcess):
    """One process group whose leader is the warm parent's child, not the worker's."""

    def __init__(
        self,
        run_id: str,
        pid: int,
        output: int,
        reports: int,
        *,
        shared_bytes: int,
        command_line: list[str],
        end_parent: Callable[[], None],
    ) -> None:
        """
        Args:
            shared_bytes: memory that every fork has in common with the warm parent.
            command_line: the warm parent's, by which its forks are known.
            end_parent: for when it reports nothing any more.
        """
        super().__init__(run_id, pid, output, reports)
        self._shared_bytes, self._command_line, self._end_parent = shared_bytes, command_line, end_parent
        self._report = b""

    def poll(self) -> bool:
        if self.exit_code is not None:
            return True
        try:
            piece = os.read(self._end, 4096)
        except BlockingIOError:
            return False
        self._report += piece
        if not piece:  # the warm parent died, and its children with it
            self.exit_code, self.was_lost = -signal.SIGKILL, True
        elif self._report.endswith(b"\n"):
            self._take_report()
        return self.exit_code is not None

    def _take_report(self) -> None:
        status, cpu_seconds, peak_kib = self._report.split()
        self.exit_code = os.waitstatus_to_exitcode(int(status))
        self.cpu_seconds, self.peak_memory_bytes = float(cpu_seconds), int(peak_kib) * 1024

    def _memory_of(self, process: psutil.Process) -> int:
        """Of a fork, only what it does not share: the rest costs the machine nothing more."""
        used = super()._memory_of(process)
        return max(0, used - self._shared_bytes) if process.cmdline() == self._command_line else used

    def _await_end(self) -> None:
        """All of it was killed, so the report is due; a parent that keeps it back was stopped."""
        deadline = time.monotonic() + _SECONDS_TO_REPORT
        while not self.poll():
            time.sleep(0.002)
            if time.monotonic() > deadline:
                self._end_parent()
