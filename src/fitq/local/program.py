"""A child program that is started again when it ends unasked."""

from __future__ import annotations

import time
from collections.abc import Callable

from fitq.errors import FitqError
from fitq.local.process import Process
from fitq.logs import get_logger

log = get_logger(__name__)
_FIRST_PAUSE_SECONDS = 0.5
#: Not longer: who restarts is also who lets nobody take over the runs of lost workers.
_LONGEST_PAUSE_SECONDS = 10.0
#: A program that has lived this long can start: what ends it next is something else, after a short pause.
_HEALTHY_SECONDS = 10.0


class Program:
    """One part of the platform: its process, how to start it, and when to start it again."""

    def __init__(
        self,
        process: Process,
        *,
        start: Callable[[], object] | None = None,
        stop_seconds: float,
        pool: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            start: starts the process, and may wait until it serves; the process's own `start` if None.
            stop_seconds: between SIGTERM and SIGKILL.
            pool: of a worker.
        """
        self.process = process
        self.pool = pool
        self.restarts = 0
        self.is_leaving = False
        self._start = start or process.start
        self._stop_seconds = stop_seconds
        self._clock = clock
        self._started_at = 0.0
        self._due_at: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    @property
    def name(self) -> str:
        return self.process.name

    def start(self) -> None:
        """Start it for the first time."""
        self._start()
        self._started_at = self._clock()

    def tend(self) -> bool:
        """Start it again if it ended and its pause is over. Whether anything changed."""
        if self.process.is_running or self.is_leaving:
            return False
        if self._due_at is None:
            self._plan_restart()
            return True
        if self._clock() < self._due_at:
            return False
        self._due_at = None
        self.restarts += 1
        try:
            self.start()
        except FitqError as exc:
            log.error("program_not_started", name=self.name, error=exc.message)
            self._started_at = self._clock()
        return True

    def _plan_restart(self) -> None:
        if self._clock() - self._started_at > _HEALTHY_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        log.error(
            "program_ended",
            name=self.name,
            exit_code=self.process.exit_code,
            restart_in_seconds=self._pause,
            log=str(self.process.log),
        )
        self._due_at = self._clock() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    def retire(self) -> None:
        """Ask a worker to end for good once it has nothing to do, without waiting."""
        self.is_leaving = True
        self.process.ask_to_leave()

    def stop(self) -> None:
        """SIGTERM, wait, SIGKILL."""
        self.process.stop(seconds=self._stop_seconds)
