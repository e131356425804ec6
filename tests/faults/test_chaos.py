"""Two minutes of everything at once. Longer, and with other seeds: scripts/bench chaos --minutes 60."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.timeout(900)
def test_two_minutes_of_chaos_lose_double_and_mix_up_nothing() -> None:
    # A busy machine may take its time to notice; it may not lose anything.
    words = ["--minutes", "2", "--seed", "5", "--workers", "3", "--longest", "90"]
    chaos = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), *words], capture_output=True, text=True
    )
    assert chaos.returncode == 0, f"{chaos.stdout}\n{chaos.stderr[-6000:]}"
