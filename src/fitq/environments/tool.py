"""`uv`, which resolves and installs: started with what it needs and nothing that is secret."""

from __future__ import annotations

import importlib.util
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fitq.errors import FitqError

#: Where packages come from and through which proxy are the operator's business, set for the worker.
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_LOOK_SECONDS = 0.25
_KEPT_LINES = 400


class ToolFailed(Exception):
    """uv ended with another exit code than 0."""

    def __init__(self, code: int, lines: list[str]) -> None:
        super().__init__(f"uv exited with {code}")
        self.code, self.lines = code, lines


class Interrupted(Exception):
    """Whoever waits for the environment does not want it any more."""


def find_uv() -> str:
    """The uv of its wheel, else one on PATH.

    Raises:
        FitqError: there is none.
    """
    if importlib.util.find_spec("uv") is not None:
        import uv

        return uv.find_uv_bin()
    found = shutil.which("uv")
    if found is None:
        raise FitqError("uv is not installed here.", hint="Install it with: pip install 'fitq[worker]'")
    return found


class Tool:
    """uv with one cache."""

    def __init__(self, cache: Path, pythons: Path) -> None:
        self._cache, self._pythons = cache, pythons

    def run(
        self,
        *arguments: str,
        say: Callable[[str], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
        seconds: float = 1800.0,
    ) -> None:
        """Run to the end.

        Args:
            say: called with each line that it writes.
            interrupted: asked several times a second; true ends uv.

        Raises:
            ToolFailed, Interrupted.
        """
        process = subprocess.Popen(
            [find_uv(), *arguments, "--no-config", "--no-progress", "--color", "never"],
            cwd="/",  # not where a project might be found
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        lines: list[str] = []
        deadline = time.monotonic() + seconds
        try:
            for line in _lines_of(process):
                if line:
                    lines.append(line)
                    say(line)
                if interrupted():
                    raise Interrupted
                if time.monotonic() > deadline:
                    raise ToolFailed(-1, [*lines[-_KEPT_LINES:], f"It took longer than {seconds:g} s."])
        finally:
            process.kill()
            code = process.wait()
            assert process.stderr is not None
            process.stderr.close()
        if code != 0:
            raise ToolFailed(code, lines[-_KEPT_LINES:])

    def _environment(self) -> dict[str, str]:
        given = {k: v for k, v in os.environ.items() if k in _PASSED_ON or k.startswith("UV_")}
        if index := os.environ.get("PIP_INDEX_URL"):  # what operators of pip have set already
            given.setdefault("UV_DEFAULT_INDEX", index)
        return {
            **given,
            "UV_CACHE_DIR": str(self._cache),
            "UV_PYTHON_INSTALL_DIR": str(self._pythons),
            "UV_NO_PROGRESS": "1",
        }


def _lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """Its lines as they come, and an empty one whenever nothing came for a while; ends when it does."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stderr is not None
    stream = process.stderr

    def read() -> None:
        for line in stream:
            waiting.put(line.rstrip())
        waiting.put(None)

    reader = threading.Thread(target=read, name="uv-output", daemon=True)
    reader.start()
    while True:
        try:
            line = waiting.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            line = ""
        if line is None:
            process.wait()
            return
        yield line
