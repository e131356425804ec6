"""A program whose disk is full says so, and works again once there is room."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fitq.records import RunStatus
from tests.conftest import eventually
from tests.faults.conftest import Field
from tests.scoring.conftest import assert_one_error_shape, running, saved

BYTES = 8 << 20

FILLS_IT = """
print("begun", flush=True)
with open("outputs/large.bin", "wb") as file:
    for _ in range(100):
        file.write(b"x" * (1 << 20))
        file.flush()
"""
FILLS_IT_AND_TALKS_ON = """
import time
print("begun", flush=True)
time.sleep(0.5)
try:
    with open("filler.bin", "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
except OSError:
    pass
for n in range(3000):
    print("line", n, "x" * 100, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine mounts nothing")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_ends_runs_with_the_reason_and_the_worker_recovers(
    small_disk: Path, field: Field
) -> None:
    field.start_scheduler()
    worker = field.start_worker(warm_start=0, work_dir=str(small_disk / "work"), free_disk_bytes=0)
    large = field.wait_until(field.submit(FILLS_IT), RunStatus.FAILED, seconds=60)
    assert large.failure is not None
    assert (large.failure.kind, large.attempt) == ("disk_full", 1)

    talking = field.wait_until(field.submit(FILLS_IT_AND_TALKS_ON), RunStatus.COMPLETED, seconds=60)
    assert talking.attempt == 1, "a log that has no room is no fault of the run"
    assert field.log(talking).startswith("begun\n")
    assert any("bytes of output were not kept" in warning for warning in talking.warnings)

    eventually(lambda: not any((small_disk / "work").iterdir()), what="the folder of the run before is gone")
    (small_disk / "filler").write_bytes(b"x" * (BYTES - (64 << 10)))  # no room for the next folder
    snapshot = field.submit("#" + os.urandom(300_000).hex() + "\nprint('ran')")
    refused = field.wait_until(snapshot, RunStatus.FAILED, seconds=60)
    assert refused.failure is not None
    assert refused.failure.kind == "disk_full"

    (small_disk / "filler").unlink()
    field.wait_until(field.submit("print('ran')"), RunStatus.COMPLETED)
    eventually(lambda: not any((small_disk / "work").iterdir()), what="nothing of them is left on the disk")
    assert worker.poll() is None


def test_a_model_that_has_no_room_on_disk_is_told_to_wait_while_another_answers(
    small_disk: Path, iris: Any
) -> None:
    rows = [[5.1, 3.5, 1.4, 0.2]]
    large = copy.copy(iris)
    large.padding = os.urandom(BYTES // 2)
    for scoring in running(small_disk):
        record = scoring.register("iris", iris)
        scoring.keep("large", saved(large), record)
        assert scoring.score("iris", rows)
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(b"x" * BYTES)
        answer = scoring.post("/models/large/score", {"data": rows})
        told = assert_one_error_shape(answer, 503)
        assert told["reason"] == "disk"
        assert int(answer.headers["retry-after"]) >= 1
        assert scoring.score("iris", rows)
        filler.unlink()
        assert scoring.score("large", rows)
