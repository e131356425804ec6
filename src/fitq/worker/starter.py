"""Starts runs: as a fork of a warm parent when one is ready, afresh otherwise. Never waits for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from fitq.logs import get_logger
from fitq.worker.folder import Program, interpreter_environment
from fitq.worker.forked import ForkedProcess
from fitq.worker.process import ColdProcess, RunProcess, pid_from

log = get_logger(__name__)
_WARM = Path(__file__).with_name("warm.py")
_NOTHING_TO_WARM = 3
_PADDING = "x" * 32_768  #: room for a run's environment where /proc shows it
_MOST_BYTES = 150_000  #: of a request; a socket takes no more at once everywhere
_FORK_SECONDS = 5.0
_PAUSE_SECONDS = 1.0  #: before a warm parent that died is replaced


class NotForked(Exception):
    """The warm parent started nothing; the run starts afresh."""


class WarmParent:
    """One warm parent process. Must be made by a thread that outlives it: it dies with that thread.

    It keeps one run at a time: whoever `take`s it forks, and it is free again at that run's end.
    """

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", str(_WARM), str(os.getpid()), str(theirs.fileno())],
                cwd="/",
                env={**interpreter_environment(), "FITQ_PADDING": _PADDING},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self.pid = self._process.pid
        RunProcess.own_pids.add(self.pid)
        self._is_ready = False
        self._taken = threading.Lock()

    def wait_until_ready(self) -> bool:
        """Whether it has imported everything; False when it ended instead."""
        try:
            self._is_ready = self._control.recv(100) == b"ready"
        except OSError:
            return False
        self._control.settimeout(_FORK_SECONDS)
        return self._is_ready

    @property
    def is_ready(self) -> bool:
        """Whether it lives and has imported everything."""
        return self._is_ready

    def take(self) -> bool:
        """Whether it is ready and has no run; then it is the caller's, who has to `fork`."""
        return self._is_ready and self._taken.acquire(blocking=False)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait()
        self._is_ready = False
        RunProcess.own_pids.discard(self.pid)
        self._control.close()
        return code

    def kill(self) -> None:
        """End it, and by its death all that it forked."""
        self._process.kill()

    def fork(self, program: Program, *, cwd: Path, environment: dict[str, str]) -> ForkedProcess:
        """Start a run.

        Raises:
            NotForked: nothing was started.
        """
        try:
            request = _request(program, cwd, environment)
            pid, output, reports = self._ask(request)
        except BaseException:
            self._taken.release()
            raise
        return ForkedProcess(
            environment["FITQ_RUN_ID"],
            pid,
            output,
            reports,
            parent=self.pid,
            end_parent=self.kill,
            at_end=self._taken.release,
        )

    def _ask(self, request: bytes) -> tuple[int, int, int]:
        """The first process's id, its output, and the pipe of reports."""
        output, their_output = os.pipe()
        reports, their_reports = os.pipe()
        try:
            try:
                socket.send_fds(self._control, [request], [their_output, their_reports])
            finally:
                os.close(their_output)
                os.close(their_reports)
            pid = pid_from(reports, _FORK_SECONDS)
            if pid is None:
                self.kill()  # it may have been stopped; what it would fork later must not run
                raise NotForked("the warm parent ended, could not fork, or did not answer")
        except (OSError, NotForked) as exc:
            os.close(output)
            os.close(reports)
            raise NotForked(str(exc)) from exc
        return pid, output, reports


def _request(program: Program, cwd: Path, environment: dict[str, str]) -> bytes:
    asked = {
        "argv": program.script_argv,
        "cwd": str(cwd),
        "environment": environment,
        "modules": str(program.modules),
    }
    request = json.dumps(asked).encode()
    if len(request) > _MOST_BYTES:
        raise NotForked(f"arguments and environment are {len(request)} bytes")
    return request


class Starter:
    """Starts a worker's runs, and keeps warm parents alive when asked to."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._places: list[_Place] = []

    def start(self, program: Program, *, cwd: Path, environment: dict[str, str]) -> RunProcess:
        """The program's first process, running."""
        parent = self._free_parent() if program.modules is not None else None
        if parent is not None:
            try:
                return parent.fork(program, cwd=cwd, environment=environment)
            except NotForked as exc:
                log.warning("run_started_cold", run_id=environment["FITQ_RUN_ID"], error=str(exc))
        return ColdProcess(program.command, cwd=cwd, environment=environment)

    def _free_parent(self) -> WarmParent | None:
        return next((place.parent for place in self._places if place.parent and place.parent.take()), None)

    def keep_warm(self, slots: int = 1) -> None:
        """From now on have so many warm parents, or be about to have them: one for each run at a time."""
        self._places = [_Place(self._closed) for _ in range(slots)]
        for place in self._places:
            place.start()

    def wait_until_warm(self, seconds: float) -> bool:
        """Whether every warm parent is ready, at last."""
        deadline = time.monotonic() + seconds
        while not all(place.is_ready for place in self._places):
            if time.monotonic() > deadline or not self._places:
                return False
            time.sleep(0.005)
        return bool(self._places)

    @property
    def warm_parent(self) -> int | None:
        """The process id of a warm parent that is ready."""
        return next((place.parent.pid for place in self._places if place.parent and place.is_ready), None)

    def close(self) -> None:
        """End the warm parents, and any run they still have."""
        self._closed.set()
        for place in self._places:
            place.close()


class _Place(threading.Thread):
    """Where there is always one warm parent, or about to be."""

    def __init__(self, closed: threading.Event) -> None:
        super().__init__(name="warm-parent", daemon=True)
        self._closed = closed
        self.parent: WarmParent | None = None

    @property
    def is_ready(self) -> bool:
        return self.parent is not None and self.parent.is_ready

    def close(self) -> None:
        if self.parent is not None:
            self.parent.kill()
        self.join(10)

    def run(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            self.parent = parent = WarmParent()
            if self._closed.is_set():
                parent.kill()
            elif parent.wait_until_ready():
                log.info("warm_start_ready", seconds=round(time.monotonic() - began, 2))
            code = parent.wait()
            if code == _NOTHING_TO_WARM:
                log.info("warm_start_off", reason="scikit-learn is not installed")
                return
            if not self._closed.is_set():
                log.warning("warm_parent_ended", exit_code=code)
            self._closed.wait(_PAUSE_SECONDS)
