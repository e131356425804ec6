"""Starts runs: as a fork of a warm parent when one is ready, afresh otherwise. Never waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from fitq.logs import get_logger
from fitq.worker.folder import Program, interpreter_environment
from fitq.worker.forked import ForkedProcess
from fitq.worker.process import ColdProcess, RunProcess

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
    """One warm parent process. Must be made by a thread that outlives it: it dies with that thread."""

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
        self._shared_bytes = 0
        self._command_line: list[str] = []

    def wait_until_ready(self) -> bool:
        """Whether it has imported everything; False when it ended instead."""
        try:
            if self._control.recv(100) != b"ready":
                return False
            parent = psutil.Process(self.pid)
            self._shared_bytes, self._command_line = parent.memory_info().rss, parent.cmdline()
        except (OSError, psutil.Error):
            return False
        self._control.settimeout(_FORK_SECONDS)
        return True

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait()
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
        request = _request(program, cwd, environment)
        output, their_output = os.pipe()
        reports, their_reports = os.pipe()
        try:
            try:
                socket.send_fds(self._control, [request], [their_output, their_reports])
            finally:
                os.close(their_output)
                os.close(their_reports)
            pid = self._pid_from(reports)
        except (OSError, NotForked) as exc:
            os.close(output)
            os.close(reports)
            raise NotForked(str(exc)) from exc
        return ForkedProcess(
            environment["FITQ_RUN_ID"],
            pid,
            output,
            reports,
            shared_bytes=self._shared_bytes,
            command_line=self._command_line,
            end_parent=self.kill,
        )

    def _pid_from(self, reports: int) -> int:
        poll = select.poll()
        poll.register(reports, select.POLLIN)
        if not poll.poll(_FORK_SECONDS * 1000):
            self.kill()  # it may have been stopped; what it would fork later must not run
            raise NotForked(f"the warm parent did not answer within {_FORK_SECONDS:g} s")
        line = b""
        while not line.endswith(b"\n"):  # byte by byte: the end of a short run may follow
            piece = os.read(reports, 1)
            if not piece:
                raise NotForked("the warm parent ended or could not fork")
            line += piece
        return int(line)


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
    """Starts a worker's runs, and keeps one warm parent alive when asked to."""

    def __init__(self) -> None:
        self._parent: WarmParent | None = None
        self._ready = threading.Event()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self, program: Program, *, cwd: Path, environment: dict[str, str]) -> RunProcess:
        """The program's process, running."""
        parent = self._parent
        if parent is not None and self._ready.is_set() and program.modules is not None:
            try:
                return parent.fork(program, cwd=cwd, environment=environment)
            except NotForked as exc:
                log.warning("run_started_cold", run_id=environment["FITQ_RUN_ID"], error=str(exc))
        return ColdProcess(program.command, cwd=cwd, environment=environment)

    def keep_warm(self) -> None:
        """From now on have a warm parent, or be about to have one."""
        self._keeper = threading.Thread(target=self._keep, name="warm-parent", daemon=True)
        self._keeper.start()

    def wait_until_warm(self, seconds: float) -> bool:
        """Whether a warm parent is ready, at last."""
        return self._ready.wait(seconds)

    @property
    def warm_parent(self) -> int | None:
        """The warm parent's process id, when it is ready."""
        return self._parent.pid if self._parent is not None and self._ready.is_set() else None

    def close(self) -> None:
        """End the warm parent, and any run it still has."""
        self._closed.set()
        with contextlib.suppress(AttributeError):  # it may be gone at this very moment
            self._parent.kill()  # type: ignore[union-attr]
        if self._keeper is not None:
            self._keeper.join(10)

    def _keep(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            self._parent = parent = WarmParent()
            if self._closed.is_set():
                parent.kill()
            elif parent.wait_until_ready():
                self._ready.set()
                log.info("warm_start_ready", seconds=round(time.monotonic() - began, 2))
            code = parent.wait()
            self._ready.clear()
            if code == _NOTHING_TO_WARM:
                log.info("warm_start_off", reason="scikit-learn is not installed")
                return
            if not self._closed.is_set():
                log.warning("warm_parent_ended", exit_code=code)
            self._closed.wait(_PAUSE_SECONDS)
