"""`scripts/demo` tells its story to the end, or says which step failed."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT
from tests.local.test_up import ENVIRONMENT


def demo(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "scripts/demo.py"],
        cwd=ROOT,
        env={**ENVIRONMENT, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def test_without_a_terminal_it_ends_by_itself_and_shows_a_command_for_each_step() -> None:
    told = demo()
    assert told.returncode == 0, told.stdout + told.stderr
    for command in ("fitq call iris", "fitq submit examples/", "fitq models register", "curl http"):
        assert f"$ {command}" in told.stdout
    assert told.stdout.count("[0, 2]") == 3
    assert "Nothing is left running" in told.stdout


def test_a_step_that_fails_is_named_and_exits_non_zero() -> None:
    told = demo(FITQ_BODY_BYTES="10")  # too small for any request
    assert told.returncode == 1
    assert "Step '1. Train a function that the workers know' failed" in told.stderr
    assert "Traceback" not in told.stderr
