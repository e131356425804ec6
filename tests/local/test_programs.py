"""When a program is started again, and how many workers a pool gets."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from fitq.errors import InvalidRequest, Unavailable
from fitq.local.child import child
from fitq.local.process import Process
from fitq.local.program import Program
from fitq.local.scaling import Wanted, Workers, parse_workers, plan, process_of
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
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert program.restarts == 4
    now[0] += 11  # it lived so long: what ends it now is something else
    eventually(lambda: not program.process.is_running)
    assert program.tend()
    began = now[0]
    while not program.tend():
        now[0] += 0.25
    program.stop()
    assert now[0] - began == 0.5


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


def wanted(demand: int = 0, **settings: int | None) -> Wanted:
    return Wanted(PoolSettings(**settings), demand)  # type: ignore[arg-type]


def test_a_pool_is_brought_between_its_least_and_most_workers(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path), worker(tmp_path, "cpu")]
    idle = dict.fromkeys(here, 1.0)
    more = plan({"default": wanted(min_workers=4), "new": wanted(min_workers=1)}, here, idle, 9)
    assert more.start == ["default", "default", "new"]
    fewer = plan({"default": wanted(max_workers=1)}, here, idle, 9)
    assert (fewer.start, fewer.retire) == ([], [here[1]])
    assert plan({"cpu": wanted(min_workers=0, max_workers=3)}, here, idle, 9) == ([], [], False)


def test_a_pool_follows_what_there_is_to_do_between_its_bounds(tmp_path: Path) -> None:
    here = [worker(tmp_path) for _ in range(3)]
    bounds = {"min_workers": 1, "max_workers": 4, "idle_seconds": 60}

    def planned(demand: int, *idle: float) -> tuple[int, list[Program]]:
        found = plan({"default": wanted(demand, **bounds)}, here, dict(zip(here, idle, strict=False)), 9)
        return len(found.start), found.retire

    assert planned(40) == (1, []), "up to the most"
    assert planned(3, 100.0) == (0, []), "as many as have something to do"
    assert planned(0, 59.0, 59.0, 59.0) == (0, []), "not idle for long enough"
    assert planned(0, 99.0, 1.0, 99.0) == (0, [here[2], here[0]]), "those that are, down to the least"
    assert planned(0, 99.0, 99.0, 99.0) == (0, [here[2], here[1]]), "never below the least"
    assert planned(0) == (0, []), "nobody who is busy"


def test_a_pool_without_an_upper_bound_is_only_kept_at_its_least(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path)]
    found = plan({"default": wanted(9, min_workers=1)}, here, dict.fromkeys(here, 9999.0), 9)
    assert found == ([], [], False)


def test_a_mistyped_number_of_workers_does_not_bring_the_machine_down(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path, "cpu")]
    pools = {"default": wanted(min_workers=10**9), "cpu": wanted(min_workers=2)}
    assert plan(pools, here, {}, 5) == (["default"] * 3, [], True)
    assert plan(pools, here, {}, 1) == ([], [], True)


def test_a_busy_worker_is_not_retired(tmp_path: Path) -> None:
    here = [worker(tmp_path), worker(tmp_path)]
    assert plan({"default": wanted(max_workers=0)}, here, {}, 9).retire == []


@pytest.mark.parametrize("text", ["", "many", "4..1", "1..", "-1", "1..2..3", "²"])
def test_what_is_no_number_of_workers_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no number of workers"):
        parse_workers(text)
    assert (parse_workers("3"), parse_workers("0..4")) == (3, Workers(0, 4))


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
