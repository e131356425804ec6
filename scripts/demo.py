"""The story of `scripts/demo`: every step is a command that can be typed by hand, and is shown as one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import IO, NoReturn

from fitq import logs
from fitq.errors import FitqError
from fitq.local.stack import Stack
from fitq.local.up import serve

ROOT = Path(__file__).resolve().parent.parent
ROWS = {"data": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}
IN_TERMINAL = sys.stdout.isatty()


class StepFailed(Exception):
    """A step did not do what it should."""


class Story:
    """The steps, told on a platform that is up."""

    def __init__(self, stack: Stack, stop: threading.Event) -> None:
        self._stack = stack
        self._stop = stop
        self._number = 0
        self._title = "start the platform"
        address = {"FITQ_URL": stack.settings.url, "FITQ_SCORING_URL": stack.settings.scoring_url}
        self._environment = {**os.environ, **address, "FITQ_TOKEN": stack.settings.token}

    def tell(self) -> None:
        """All of it; returns early when the platform is told to stop."""
        function_run = self._train(
            "Train a function that the workers know", "call", "iris", "--parameter", "kernel=linear"
        )
        script_run = self._train(
            "Train with a plain script in its folder",
            *("submit", "examples/train_iris/train_iris.py", "--experiment", "train-sklearn"),
            after=("--", "--kernel", "rbf", "--penalty", "2.0"),
        )
        self._step("Look at what both logged")
        self._fitq("runs", "compare", function_run, script_run)
        self._fitq("runs", "artifacts", script_run)
        for name, run in (("iris", function_run), ("sklearn-iris", script_run)):
            self._step(f"Register the model {name}")
            self._fitq("models", "register", name, "--run", run, "--path", "outputs/model.joblib")
            self._step(f"Score {name} over HTTP")
            self._score(f"/models/{name}/score", expected=2)
        self._step("Put one of them behind a stable address")
        self._fitq("endpoints", "deploy", "flowers", "--model", "sklearn-iris")
        self._score("/api/v1/service/flowers/score", expected=2)

    # --- steps --------------------------------------------------------------------------------------

    def _step(self, title: str) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._number += 1
        self._title = f"{self._number}. {title}"
        print(f"\n{_bold(self._title)}", flush=True)

    def _train(self, title: str, *words: str, after: tuple[str, ...] = ()) -> str:
        self._step(title)
        run = self._fitq(*words, "--follow", *after)
        self._fitq("runs", "metrics", run)
        return run

    def _fitq(self, *words: str) -> str:
        """Run one command, showing it and what it prints; its result."""
        _show(shlex.join(["fitq", *words]))
        command = [sys.executable, "-P", "-m", "fitq", *words]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            _pass_on(running.stderr)
            result = running.stdout.read()
        print(result, end="", flush=True)
        if running.returncode == 130:
            raise KeyboardInterrupt
        if running.returncode:
            self._fail(f"fitq {words[0]} ended with exit code {running.returncode}")
        return result.strip()

    def _score(self, path: str, *, expected: int) -> None:
        url = self._stack.settings.scoring_url + path
        body = json.dumps(ROWS)
        headers = "-H \"Authorization: Bearer $FITQ_TOKEN\" -H 'Content-Type: application/json'"
        _show(f"curl {url} {headers} -d '{body}'")
        sent = {
            "Authorization": f"Bearer {self._stack.settings.token}",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(url, body.encode(), sent)  # noqa: S310 - our own address
        # A proxy of the environment can not reach our loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                predictions = json.load(answer)
        except OSError as exc:
            self._fail(f"{url} does not answer: {exc}")
        print(json.dumps(predictions), flush=True)
        if len(predictions) != expected:
            self._fail(f"{expected} predictions were expected")

    def _fail(self, reason: str) -> NoReturn:
        raise StepFailed(f"Step {self._title!r} failed: {reason}.")


def _pass_on(talk: IO[str]) -> None:
    """Show what a command says while it runs; here, the next step is ours to say."""
    hidden = False
    for line in talk:
        hidden = hidden or line.startswith("Next:")
        if not hidden:
            print(line, end="", flush=True)


def _show(command: str) -> None:
    print(f"{_dim('$')} {_dim(command)}", flush=True)


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if IN_TERMINAL else text


def _dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if IN_TERMINAL else text


def _what_next(stack: Stack) -> None:
    config = stack.home.config
    print(
        f"""
{_bold("It stays up until Ctrl-C. Try next, in another terminal, in this folder:")}
  . .venv/bin/activate
  export FITQ_URL={stack.settings.url} FITQ_SCORING_URL={stack.settings.scoring_url}
  export FITQ_TOKEN="$(sed -n 's/.*"fitq_token": "\\(.*\\)".*/\\1/p' {config})"
  fitq dashboard                                          a link that opens the dashboard
  fitq call digits --follow --register digits             another function, registered when it completes
  fitq submit your_script.py --follow -- --your arguments your own script with its folder
  fitq score iris --data '[[6.7, 3.0, 5.2, 2.3]]'
To keep what you do, start the platform with: scripts/up""",
        flush=True,
    )


def main() -> int:
    """Tell the story on a fresh platform; the exit code."""
    logs.configure("demo", level="warning")
    with tempfile.TemporaryDirectory(prefix="fitq-demo-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder), functions=ROOT / "functions", api_port=0, scoring_port=0)
        print(_bold("Starting the platform …"), flush=True)
        try:
            return _on(stack)
        except StepFailed as exc:
            print(f"\n{exc}", file=sys.stderr)
        except FitqError as exc:
            print(f"\nStep 'start the platform' failed: {exc.message}\n{exc.hint}", file=sys.stderr)
        return 1


def _on(stack: Stack) -> int:
    interrupted = False

    def ready(stop: threading.Event) -> None:
        nonlocal interrupted
        print(f"API and dashboard  {stack.settings.url}\nScoring            {stack.settings.scoring_url}")
        try:
            Story(stack, stop).tell()
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
            return
        if IN_TERMINAL:
            _what_next(stack)
        else:
            stop.set()

    serve(stack, on_ready=ready, on_stop=lambda: print("\nStopping …", flush=True))
    print(
        "Stopped. Nothing is left running."
        if interrupted or IN_TERMINAL
        else "Done. Nothing is left running."
    )
    return 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
