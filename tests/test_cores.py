"""Cores that runs have for themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fitq.backend import Backend
from fitq.records import Resources, RunStatus
from fitq.settings import Settings
from fitq.worker.cores import held_cores
from fitq.worker.runtime import OWN
from fitq.worker.starter import Starter
from tests.test_execute import Bench

CORES = sorted(os.sched_getaffinity(0))


@pytest.mark.skipif(len(CORES) < 2, reason="one core cannot be shared out")
def test_two_runs_get_different_cores_and_a_third_shares_all(tmp_path: Path) -> None:
    folder = tmp_path / "cores"
    with ExitStack() as runs:
        mine = [runs.enter_context(held_cores(1, folder)) for _ in CORES]
        assert sorted(core for cores in mine for core in cores) == CORES
        assert runs.enter_context(held_cores(0.5, folder)) == []
    with held_cores(0.5, folder) as again:
        assert len(again) == 1


def test_who_asks_for_nothing_or_for_all_shares_all(tmp_path: Path) -> None:
    for cpus in (None, float(len(CORES)), 1000.0):
        with held_cores(cpus, tmp_path / "cores") as cores:
            assert cores == []


def test_what_is_not_taken_whole_is_not_taken(tmp_path: Path) -> None:
    with held_cores(1, tmp_path / "cores") as one, held_cores(len(CORES) - 0.5, tmp_path / "cores") as most:
        assert most == []
        with held_cores(1, tmp_path / "cores") as other:
            assert len(CORES) < 2 or (len(other) == 1 and other != one)


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "cores").symlink_to(tmp_path / "theirs")
    with held_cores(1, tmp_path / "cores") as cores:
        assert cores == []


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "sources").mkdir()
    Path(settings.work_dir).mkdir()
    bench = Bench(backend, settings, tmp_path / "sources", Starter())
    yield bench
    bench.executor.starter.close()


@pytest.mark.skipif(len(CORES) < 2, reason="one core cannot be shared out")
def test_a_run_executes_on_the_cores_that_it_was_granted(bench: Bench) -> None:
    code = (
        "import os; told = map(os.environ.get, ('OMP_NUM_THREADS', 'LOKY_MAX_CPU_COUNT'))\n"
        "print(len(os.sched_getaffinity(0)), *told)\n"
    )
    granted = bench.run(code, resources=Resources(cpus=1))
    assert granted.status is RunStatus.COMPLETED
    assert bench.log(granted) == "1 1 1\n"
    free = bench.run(code)
    assert bench.log(free) == f"{len(CORES)} None None\n"


def test_the_second_run_of_a_grant_starts_as_a_fork_with_thread_pools_of_that_size(bench: Bench) -> None:
    code = (
        "import sys\nwarm = 'sklearn' in sys.modules\n"
        "import os, joblib, sklearn.ensemble, threadpoolctl\n"
        "sizes = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
        "print(sizes, os.environ['OMP_NUM_THREADS'], joblib.cpu_count(), file=sys.stderr)\n"
        "print(warm)\n"
    )
    first = bench.run(code, resources=Resources(cpus=1))
    assert bench.executor.starter.wait_until_warm(60, OWN.granted(1))
    second = bench.run(code, resources=Resources(cpus=1))
    other = bench.run(code, resources=Resources(cpus=2))
    seen = [sorted(bench.log(run).splitlines()) for run in (first, second, other)]
    assert seen[:2] == [["False", "{1} 1 1"], ["True", "{1} 1 1"]]
    assert "False" in seen[2]
