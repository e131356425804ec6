"""Benchmarks that no other test uses still work: small runs of them, whose figures say nothing."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_costs_of_scale_are_measured_and_printed() -> None:
    few = ["--workers", "10", "--records", "200", "--runs", "20", "--seconds", "1"]
    done = subprocess.run(
        [sys.executable, "benchmarks/scale.py", *few], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for row in ("| submit |", "| take, hold, end |", "| 10 |", "| 200 |"):
        assert row in done.stdout, done.stdout
