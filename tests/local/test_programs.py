"""When a program is started again, and how many workers a pool gets."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from fitq.errors import Unavailable
from fitq.local.child import child
from fitq.local.process import Process
from fitq.local.program import Program
from fitq.local.scaling import plan, process_of
from fitq.records import PoolSettings
from fitq.settings import Settings
from tests.conftest import eventually


def process(tmp_path: Path, code: str) -> Process:
    return Process("it", [sys.executable, "-c", code], environment={}, log=tmp_path / "it.log")


def test_a_program_that_keeps_ending_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    now = [0.0]
    program = Program(process(tmp_path, "print('up')"), stop_seconds=1, clock=lambda: now[0])
    program.start()
    pauses = []
    for _ in range(4):
        eventually(lambda: not program.process.is_running)
        assert program.tend(), "its end is noticed"
        assert not program.tend(), "and its pause kept"
        began = now[0]
        while not program.tend():
            now[0] += 0.25
        pauses.append(now[0] - began)
    program.stop()
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert program.restarts == 4


def test_a_retired_program_is_not_started_again(tmp_path: Path) -> None:
    program = Program(process(tmp_path, "import time; time.sleep(60)"), stop_seconds=1)
    program.start()
    program.retire()
    eventually(lambda: not program.process.is_running)
    assert not program.tend()


def test_a_process_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    started = process(tmp_path, "print('no space left'); raise SystemExit(3)")
    started.start()
    with pytest.raises(Unavailable, match=r"exit code 3(?s:.)*no space left"):
        started.wait_until(lambda: False, seconds=20)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True)"
    stubborn = process(tmp_path, f"{deaf}; time.sleep(60)")
    stubborn.start()
    eventually(lambda: "on" in stubborn.log.read_text())
    stubborn.stop(seconds=0.2)
    assert stubborn.exit_code == -signal.SIGKILL


def worker(tmp_path: Path, pool: str = "default") -> Program:
    return Program(process(tmp_path, ""), stop_seconds=1, pool=pool)


def test_a_pool_is_brought_between_its_least_and_most_workers(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path), worker(tmp_path, "cpu")]
    more = plan({"default": PoolSettings(min_workers=4), "new": PoolSettings(min_workers=1)}, here, set(), 9)
    assert more.start == ["default", "default", "new"]
    fewer = plan({"default": PoolSettings(max_workers=1)}, here, set(), 9)
    assert (fewer.start, fewer.retire) == ([], [here[1]])
    assert plan({"cpu": PoolSettings(min_workers=0, max_workers=3)}, here, set(), 9) == ([], [], False)


def test_a_mistyped_number_of_workers_does_not_bring_the_machine_down(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path, "cpu")]
    pools = {"default": PoolSettings(min_workers=10**9), "cpu": PoolSettings(min_workers=2)}
    assert plan(pools, here, set(), 5) == (["default"] * 3, [], True)
    assert plan(pools, here, set(), 1) == ([], [], True)


def test_a_busy_worker_is_not_retired(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path)]
    for one in here:
        one.process.start()
    busy = {one.process.pid or 0 for one in here}
    assert plan({"default": PoolSettings(max_workers=0)}, here, busy, 9).retire == []
    for one in here:
        one.stop()


def test_the_process_of_a_worker_is_the_end_of_its_id() -> None:
    assert process_of("my-host-123") == 123
    assert process_of("odd") == 0


def test_a_program_is_not_told_secrets_that_it_has_no_use_for(tmp_path: Path) -> None:
    settings = Settings(redis_url="redis://:redis-pw@h:1/0", s3_secret_key="s3-pw", token="the-token")
    inherited = {"PATH": "/bin", "FITQ_TOKEN": "somebody's", "FITQ_URL": "http://elsewhere"}
    told = {p: str(child(p, p, settings, inherited, tmp_path)._environment) for p in ("scoring", "worker")}
    assert "redis-pw" not in told["scoring"]
    assert "the-token" not in told["worker"]
    assert "somebody's" not in told["worker"] + told["scoring"]
    assert "elsewhere" not in told["worker"] + told["scoring"]
