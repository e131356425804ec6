"""Starts runs: as a fork of a warm parent when one is ready, afresh otherwise. Never waits for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from fitq.logs import get_logger
from fitq.worker.folder import Program
from fitq.worker.forked import ForkedProcess
from fitq.worker.process import ColdProcess, RunProcess, pid_from
from fitq.worker.runtime import OWN, Runtime

log = get_logger(__name__)
_WARM = Path(__file__).with_name("warm.py")
_NOTHING_TO_WARM = 3
_PADDING = "x" * 32_768  #: room for a run's environment where /proc shows it
_MOST_BYTES = 150_000  #: of a request; a socket takes no more at once everywhere
_FORK_SECONDS = 5.0
_MOST_FAILURES = 5  #: in a row, before a runtime's runs all start afresh
_FULL_PERCENT = 90  #: of the machine's memory in use: then warm parents are a luxury
_PAUSE_SECONDS = 1.0  #: before a warm parent that died is replaced


class NotForked(Exception):
    """The warm parent started nothing; the run starts afresh."""


class WarmParent:
    """One warm parent process. Must be made by a thread that outlives it: it dies with that thread.

    It keeps one run at a time: whoever `take`s it forks, and it is free again at that run's end.
    """

    def __init__(self, runtime: Runtime = OWN) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [runtime.python, "-u", str(_WARM), str(os.getpid()), str(theirs.fileno())],
                cwd="/",
                env={**runtime.variables(), "FITQ_PADDING": _PADDING},
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

    @property
    def is_taken(self) -> bool:
        """Whether it has a run."""
        return self._taken.locked()

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

    def fork(
        self, program: Program, *, cwd: Path, environment: dict[str, str], plan: Mapping[str, Any]
    ) -> ForkedProcess:
        """Start a run.

        Raises:
            NotForked: nothing was started.
        """
        try:
            request = _request(program, cwd, environment, plan)
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


def _request(program: Program, cwd: Path, environment: dict[str, str], plan: Mapping[str, Any]) -> bytes:
    asked = {
        "argv": program.script_argv,
        "cwd": str(cwd),
        "environment": environment,
        "modules": str(program.modules),
        "plan": plan,
    }
    request = json.dumps(asked).encode()
    if len(request) > _MOST_BYTES:
        raise NotForked(f"arguments and environment are {len(request)} bytes")
    return request


class Starter:
    """Starts a worker's runs, and keeps warm parents alive when asked to: some for each runtime."""

    def __init__(self) -> None:
        #: by the runtime's key, the one used last at the end
        self._warm: dict[tuple[str, int | None], _Warm] = {}
        self._lock = threading.Lock()

    def start(
        self, program: Program, *, cwd: Path, environment: dict[str, str], plan: Mapping[str, Any]
    ) -> RunProcess:
        """The program's first process, running, confined as planned."""
        parent = self._free_parent(program.runtime) if program.modules is not None else None
        if parent is not None:
            try:
                return parent.fork(program, cwd=cwd, environment=environment, plan=plan)
            except NotForked as exc:
                log.warning("run_started_cold", run_id=environment["FITQ_RUN_ID"], error=str(exc))
        return ColdProcess(program.command, cwd=cwd, environment=environment, plan=plan)

    def _free_parent(self, runtime: Runtime) -> WarmParent | None:
        with self._lock:
            warm = self._warm.get(runtime.key)
        return None if warm is None else warm.take()

    def keep_warm(self, slots: int = 1, runtime: Runtime = OWN) -> None:
        """From now on have so many warm parents, or be about to have them: one for each run at a time."""
        with self._lock:
            known = self._warm.pop(runtime.key, None)
            self._warm[runtime.key] = known or _Warm(runtime, slots)

    def keep_at_most(self, runtimes: int) -> None:
        """End what was not used for longest, beyond so many, or beyond one where memory is short; never the
        worker's own, nor what has a run."""
        if psutil.virtual_memory().percent > _FULL_PERCENT:
            runtimes = min(runtimes, 1)
        with self._lock:
            others = [key for key in self._warm if key != OWN.key]
            idle = [key for key in others if not self._warm[key].is_busy]
            ended = [self._warm.pop(key) for key in idle[: max(0, len(others) - runtimes)]]
        for warm in ended:
            warm.close()

    def wait_until_warm(self, seconds: float, runtime: Runtime = OWN) -> bool:
        """Whether every warm parent of a runtime is ready, at last."""
        warm, deadline = self._warm.get(runtime.key), time.monotonic() + seconds
        while warm is not None and not warm.is_ready:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return warm is not None

    @property
    def warm_parent(self) -> int | None:
        """The process id of a warm parent of the worker's own, when one is ready."""
        warm = self._warm.get(OWN.key)
        return None if warm is None else warm.pid

    def close(self) -> None:
        """End the warm parents, and any run they still have."""
        with self._lock:
            ended, self._warm = list(self._warm.values()), {}
        for warm in ended:
            warm.close()


class _Warm:
    """The warm parents of one runtime."""

    def __init__(self, runtime: Runtime, slots: int) -> None:
        self._runtime = runtime.held_too()
        self._places = [_Place(self._runtime) for _ in range(slots)]
        for place in self._places:
            place.start()

    def take(self) -> WarmParent | None:
        """One that is ready and has no run: the caller's, who has to `fork`."""
        return next((place.parent for place in self._places if place.parent and place.parent.take()), None)

    @property
    def is_ready(self) -> bool:
        return all(place.is_ready for place in self._places)

    @property
    def is_busy(self) -> bool:
        """Whether a run is a fork of one of them."""
        return any(place.parent is not None and place.parent.is_taken for place in self._places)

    @property
    def pid(self) -> int | None:
        return next((place.parent.pid for place in self._places if place.parent and place.is_ready), None)

    def close(self) -> None:
        for place in self._places:
            place.close()
        self._runtime.close()


class _Place(threading.Thread):
    """Where there is always one warm parent, or about to be."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="warm-parent", daemon=True)
        self._runtime, self._closed = runtime, threading.Event()
        self.parent: WarmParent | None = None

    @property
    def is_ready(self) -> bool:
        return self.parent is not None and self.parent.is_ready

    def close(self) -> None:
        self._closed.set()
        if self.parent is not None:
            self.parent.kill()
        self.join(10)

    def run(self) -> None:
        failures = 0
        while not self._closed.is_set() and failures < _MOST_FAILURES:
            began = time.monotonic()
            self.parent = parent = WarmParent(self._runtime)
            if self._closed.is_set():
                parent.kill()
            elif parent.wait_until_ready():
                seconds = round(time.monotonic() - began, 2)
                failures = 0
                log.info("warm_start_ready", python=self._runtime.python, seconds=seconds)
            code = parent.wait()
            if code == _NOTHING_TO_WARM:
                log.info(
                    "warm_start_off", python=self._runtime.python, reason="scikit-learn is not installed"
                )
                return
            if not self._closed.is_set():
                failures += 1
                log.warning("warm_parent_ended", python=self._runtime.python, exit_code=code)
            self._closed.wait(_PAUSE_SECONDS)
        if not self._closed.is_set():
            log.error("warm_start_given_up", python=self._runtime.python, failures=failures)
