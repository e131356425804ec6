"""A worker for one run, as a job of a cluster starts it: takes one, ends; ends at once when nothing waits."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fitq import kept_snapshots, pools, publishing, runs, submission
from fitq.backend import Backend
from fitq.records import FunctionRequest, RunRequest, RunStatus
from fitq.settings import Settings
from fitq.snapshots import pack
from tests.conftest import eventually

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Start:
    (tmp_path / "work").mkdir()

    def start() -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
        with (tmp_path / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "fitq", "worker", "--one-shot"],
                env={**inherited, **settings.to_environment()},
                stdout=log,
                stderr=log,
            )

    return start


def submit(backend: Backend, folder: Path, code: str = "print('done')") -> str:
    (folder / "source").mkdir(exist_ok=True)
    (folder / "source" / "train.py").write_text(code)
    data = io.BytesIO(pack(folder / "source").data)
    snapshot = kept_snapshots.keep_snapshot(backend, data, max_bytes=10**6, max_files=9)
    return submission.submit(backend, RunRequest(snapshot=snapshot, script="train.py")).id


def statuses(backend: Backend, *ids: str) -> list[RunStatus]:
    return [runs.find(backend, i).status for i in ids]


def test_an_empty_queue_ends_it_at_once(worker: Start, backend: Backend, tmp_path: Path) -> None:
    by_demand = dataclasses.replace(backend, scaled_pools=frozenset({"default"}))
    assert pools.find_pool(by_demand, "default").demand == 1, "nobody has told yet what its workers can run"
    job = worker()
    eventually(lambda: "worker_ready" in (tmp_path / "worker.log").read_text(), seconds=120)
    assert job.wait(timeout=10) == 0, "an extra job is to cost next to nothing"
    assert pools.live_workers(backend) == [], "it leaves the pool when it ends"
    assert pools.find_pool(by_demand, "default").demand == 0


def test_it_takes_one_run_and_leaves_the_others(worker: Start, backend: Backend, tmp_path: Path) -> None:
    first, second = submit(backend, tmp_path), submit(backend, tmp_path)
    assert worker().wait(timeout=120) == 0
    assert sorted(statuses(backend, first, second)) == [RunStatus.COMPLETED, RunStatus.QUEUED]
    assert pools.find_pool(backend, "default").demand == 1
    assert worker().wait(timeout=120) == 0
    assert statuses(backend, first, second) == [RunStatus.COMPLETED, RunStatus.COMPLETED]


def test_a_message_of_a_run_that_is_over_does_not_count(
    worker: Start, backend: Backend, tmp_path: Path
) -> None:
    over, waiting = submit(backend, tmp_path), submit(backend, tmp_path)
    runs.cancel(backend, over)
    assert worker().wait(timeout=120) == 0
    assert statuses(backend, over, waiting) == [RunStatus.CANCELED, RunStatus.COMPLETED]


def test_a_run_that_fails_is_no_failure_of_the_worker(
    worker: Start, backend: Backend, tmp_path: Path
) -> None:
    failing = submit(backend, tmp_path, "raise SystemExit(5)")
    assert worker().wait(timeout=120) == 0
    assert statuses(backend, failing) == [RunStatus.FAILED]


def test_a_pool_at_zero_learns_published_code_from_a_worker_that_finds_nothing_to_do(
    worker: Start, backend: Backend, tmp_path: Path
) -> None:
    code = "from fitq import function\n\n@function\ndef hello(run):\n    run.log('hello', 1)\n"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hello.py").write_text(code)
    data = io.BytesIO(pack(tmp_path / "code").data)
    snapshot = kept_snapshots.keep_snapshot(backend, data, max_bytes=10**6, max_files=9)
    publishing.publish(backend, "hello", FunctionRequest(snapshot=snapshot))
    assert pools.find_pool(backend, "default").demand == 1
    assert worker().wait(timeout=120) == 0
    assert pools.find_pool(backend, "default").demand == 0
    run = submission.submit(backend, RunRequest(function="hello"))
    assert worker().wait(timeout=120) == 0
    assert statuses(backend, run.id) == [RunStatus.COMPLETED]

    later = submission.submit(backend, RunRequest(function="hello"))
    publishing.withdraw(backend, "hello")
    assert worker().wait(timeout=120) == 0
    assert statuses(backend, later.id) == [RunStatus.COMPLETED], "it carries its code, whoever knows of it"
