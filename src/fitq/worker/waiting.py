"""A run that is still Preparing: its log is shown as it grows, and when nobody wants it any more is seen."""

from __future__ import annotations

import contextlib
import threading
import time

from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.records import RunRecord
from fitq.store.protocols import Writer
from fitq.worker.std_log import StdLog

_LOOK_SECONDS = 0.5


def show_log(backend: Backend, run: RunRecord, std_log: StdLog) -> None:
    """Show readers what is new of a run's log, as long as this attempt holds the run."""

    def append(data: bytes, offset: int) -> int:
        return backend.state.append_log(run.id, data, of=Writer(run.claim_id, offset))

    std_log.send(append)


class Waiting:
    """What watches over a run before it has a process."""

    def __init__(self, backend: Backend, run: RunRecord, std_log: StdLog, stopping: threading.Event) -> None:
        self._backend, self._run = backend, run
        self._std_log, self._stopping = std_log, stopping
        self._looked_at = time.monotonic()
        self._is_over = False

    def say(self, line: str) -> None:
        """Show a line in the run's log; while Redis is away readers see it later."""
        self._std_log.note(line)
        with contextlib.suppress(Unavailable):
            show_log(self._backend, self._run, self._std_log)

    def is_over(self) -> bool:
        """Whether this worker stops, the run was canceled, or somebody else has it. Cheap to ask."""
        if self._stopping.is_set():
            return True
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._is_over = self._is_over or self._look()
        return self._is_over

    def _look(self) -> bool:
        try:
            current = self._backend.state.get_run(self._run.id)
        except Unavailable:
            return False
        if current is None:
            return False  # Redis lost its data; this worker puts the run back
        same = (current.attempt_id, current.status) == (self._run.attempt_id, self._run.status)
        return current.cancel_requested or not same
