"""A process that dies between any two steps: what was accepted is done, once, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import hashlib
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from fitq import runs, submission
from fitq.records import RunRecord, RunStatus
from tests.conftest import eventually
from tests.environments.conftest import TINY
from tests.faults.conftest import Field

#: Files of each attempt are told apart by a nonce, and there are several.
MARKED = """
import os, secrets
mark = secrets.token_hex(8)
print("mark", mark, flush=True)
for n in range(3):
    open(f"outputs/part{n}.txt", "w").write(mark)
"""

SECOND_WAITS = """
import pathlib, time
first, second = (pathlib.Path(p) for p in {files!r})
if not first.exists():
    first.touch()
else:
    second.touch()
    time.sleep(1000)
"""


def assert_whole(field: Field, run: RunRecord) -> None:
    """Files and log are of one attempt, as recorded; of what only a living run needs nothing is left."""
    contents = {}
    for artifact in runs.artifacts(field.backend, run):
        _, pieces = runs.open_artifact(field.backend, run, artifact.path)
        contents[artifact.path] = b"".join(pieces)
        assert hashlib.sha256(contents[artifact.path]).hexdigest() == artifact.sha256
    (mark,) = {data for path, data in contents.items() if path.startswith("outputs/")}
    assert field.log(run).endswith(f"mark {mark.decode()}\n")
    assert len(contents) == 4
    backend = field.backend

    def is_tidy() -> bool:
        return (
            backend.objects.get(backend.keys.open_run(run.id)) is None
            and backend.state.log_size(run.id) == 0
            and not backend.state.list_leases()
            and backend.queue.count(run.pool) == 0
        )

    eventually(is_tidy, seconds=60, what="nothing is left of a run that has ended")


def wait_for_death(worker: subprocess.Popen[bytes]) -> None:
    assert worker.wait(60) == -signal.SIGKILL


def test_a_run_outlives_workers_that_die_at_every_step(field: Field) -> None:
    field.start_scheduler()
    run = field.submit(MARKED, max_attempts=9)
    steps = ("before-claim", "after-claim", "prepared", "between-uploads", "uploaded")
    for step in steps:
        wait_for_death(field.start_worker(step, warm_start=0))
    field.start_worker(warm_start=0)
    ended = field.wait_until(run, RunStatus.COMPLETED, seconds=90)
    assert (ended.attempt, ended.losses) == (5, 4), "the one that died before it claimed does not count"
    assert [e.attempt for e in ended.timeline if e.status is RunStatus.PREPARING] == [1, 2, 3, 4, 5]
    assert_whole(field, ended)


def test_half_an_environment_of_a_worker_that_died_is_never_used(
    field: Field, tmp_path: Path, packages: Path
) -> None:
    built = tmp_path / "environments"
    built.mkdir()
    (built / "packages").symlink_to(packages)
    field.settings = dataclasses.replace(field.settings, environments=str(built), warm_start=0)
    field.start_scheduler()
    run = field.submit("import iniconfig; print('found')", environment={"pip": [TINY]})
    wait_for_death(field.start_worker("environment-half-built"))
    (half,) = (built / "building").glob("*/env")
    assert list((built / "built").iterdir()) == []
    field.start_worker()
    ended = field.wait_until(run, RunStatus.COMPLETED, seconds=90)
    assert (ended.attempt, ended.losses) == (2, 1)
    assert field.log(run).count("building environment") == 2
    assert field.log(run).endswith("found\n")
    assert not half.exists()
    assert len(list((built / "built").iterdir())) == 1


@pytest.mark.parametrize("step", ["ended-in-the-object-store", "ended-before-the-message-is-answered"])
def test_a_run_that_ended_is_not_done_again_although_its_worker_died(field: Field, step: str) -> None:
    run = field.submit(MARKED)
    wait_for_death(field.start_worker(step, warm_start=0))
    field.start_scheduler()
    ended = field.wait_until(run, RunStatus.COMPLETED)
    field.start_worker(warm_start=0)  # gets the message again
    assert_whole(field, ended)
    assert field.find(run).attempt == 1


@pytest.mark.parametrize("step", ["pause-when-uploaded", "pause-before-the-last-put"])
def test_a_worker_that_slept_past_its_lease_publishes_nothing(field: Field, step: str) -> None:
    field.start_scheduler()
    sleeper = field.start_worker(step, warm_start=0)
    run = field.submit(MARKED)
    field.wait_until(run, RunStatus.FINALIZING)
    field.start_worker(warm_start=0)
    ended = field.wait_until(run, RunStatus.COMPLETED, seconds=60)
    sleeper.send_signal(signal.SIGCONT)
    sleeper.terminate()
    assert sleeper.wait(60) == 0
    assert field.find(run) == ended
    assert ended.attempt == 2
    assert_whole(field, ended)


def test_of_a_worker_that_slept_and_the_one_that_executes_its_run_one_alone_ends_it(
    field: Field, tmp_path: Path
) -> None:
    """The sleeper had uploaded everything and needed but to say so: it wins, the other script is ended."""
    first, second = files = [tmp_path / name for name in ("first", "second")]
    field.start_scheduler()
    sleeper = field.start_worker("pause-before-the-last-put", warm_start=0)
    run = field.submit(MARKED + SECOND_WAITS.format(files=list(map(str, files))))
    field.wait_until(run, RunStatus.FINALIZING)
    assert first.exists()
    field.start_worker(warm_start=0)
    eventually(second.exists, what="the second attempt goes on")
    sleeper.send_signal(signal.SIGCONT)
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert ended.attempt == 1
    eventually(lambda: not field.processes_of(run), what="the second script is ended")
    assert_whole(field, ended)


def test_a_submit_that_died_between_its_writes_is_one_run(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again it is the same run; once it is in the object store it is done also if it is not."""
    monkeypatch.setattr("fitq.scheduler.care._MESSAGE_AFTER", timedelta(seconds=2))
    cases = [
        ("key-remembered", "sent again"),
        ("accepted-in-the-object-store", "sent again"),
        ("accepted-in-the-object-store", "left alone"),
        ("accepted-in-redis", "left alone"),
    ]
    requests = {case: field.request("print('ran')", tags={"case": " ".join(case)}) for case in cases}
    died = [field.submit_and_die(case[0], r, " ".join(case)) for case, r in requests.items()]
    for process in died:
        wait_for_death(process)
    for case, request in requests.items():
        if case[1] == "sent again":
            submission.submit(field.backend, request, idempotency_key=" ".join(case))
    field.start_scheduler()
    field.start_worker(warm_start=0)

    def done() -> list[str]:
        return sorted(r.tags["case"] for r in field.backend.state.list_runs(status=RunStatus.COMPLETED))

    expected = sorted(" ".join(case) for case in cases)
    eventually(lambda: done() == expected, seconds=90, what="each accepted run is done")
    assert field.backend.state.count_runs() == len(cases)
