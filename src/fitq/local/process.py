"""One child process: started with its output in a file, ended with us, stopped by its pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fitq.errors import Unavailable

_LAUNCH = Path(__file__).with_name("launch.py")


class Process:
    """A program that runs beside us and never outlives us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
        orphan_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """
        Args:
            name: for messages.
            command: absolute path of the program, then its arguments. Others can read them: no secrets.
            environment: all of it; nothing is inherited.
            log: stdout and stderr are appended here.
            folder: working folder; ours if None.
            orphan_signal: what the kernel sends it when we are gone.
        """
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._orphan_signal = orphan_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """All of it."""
        return dict(self._environment)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._child.poll() if self._child else None

    def start(self) -> None:
        """Start it. The kernel ties its life to the *thread* that calls this: one that lasts, please."""
        launcher = [sys.executable, "-I", "-S", str(_LAUNCH), str(int(self._orphan_signal)), str(os.getpid())]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [*launcher, *self._command],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C reaches only us: we stop all in order
            )

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `ready()`.

        Raises:
            Unavailable: it ended, or was not ready in time; carries the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.is_running:
                raise self._not_ready(f"{self.name} ended with exit code {self.exit_code} while starting.")
            if time.monotonic() > deadline:
                raise self._not_ready(f"{self.name} was not ready within {seconds:g} s.")
            time.sleep(0.02)

    def _not_ready(self, message: str) -> Unavailable:
        return Unavailable(message, hint=f"The end of {self.log}:\n{last_lines(self.log)}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM, without waiting."""
        if self._child and self.is_running:
            self._child.terminate()

    def ask_to_leave(self) -> None:
        """Send SIGUSR1, without waiting: a worker ends when it has nothing to do."""
        if self._child and self.is_running:
            self._child.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Send SIGKILL, without waiting."""
        if self._child and self.is_running:
            self._child.kill()

    def stop(self, *, seconds: float) -> None:
        """SIGTERM, wait so long, then SIGKILL. Returns when it is gone."""
        if self._child is None:
            return
        self.ask_to_stop()
        try:
            self._child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log file, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "(nothing was logged)"
    return "\n".join(f"    {line[:300]}" for line in lines[-count:])


def plain_environment(**extra: str) -> dict[str, str]:
    """A small environment for a server: no setting or secret of ours reaches it by accident."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")}
    return {**kept, **extra}
