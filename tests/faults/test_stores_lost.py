"""Redis and the object store come and go; what was accepted is done, and done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import redis

from fitq import claims, restoring, submission
from fitq.admission import admit
from fitq.queue import namespace_of
from fitq.records import FinalRecord, RunRecord, RunRequest, RunStatus, TimelineEntry, now, to_json
from fitq.scheduler.care import Care
from tests.conftest import Servers, eventually
from tests.faults.conftest import Field

SHORT = "print('ran')"
NEWEST = """
import fitq

@fitq.function(pool="default")
def newest(run: fitq.Run) -> None:
    pass
"""
GOES_ON = """
import os, time
print("going", flush=True)
while not os.path.exists({gate!r}): time.sleep(0.05)
"""


def forget(field: Field, servers: Servers) -> None:
    """What FLUSHALL does, for one workspace: other tests keep theirs."""
    workspace = field.backend.workspace
    with redis.Redis.from_url(servers.redis.url) as client:
        for prefix in (f"fitq:{workspace}:", f"{namespace_of(workspace)}:"):
            found = list(client.scan_iter(f"{prefix}*", count=1000))
            assert found
            client.delete(*found)


def test_after_redis_lost_everything_every_run_is_there_again(
    field: Field, servers: Servers, tmp_path: Path
) -> None:
    """Fifty runs wait and four are under way; keys of others are none of our business."""
    worker = field.start_worker(slots=4)
    done = field.submit(SHORT)
    field.wait_until(done, RunStatus.COMPLETED)
    gate = tmp_path / "gate"
    going = [field.submit(GOES_ON.format(gate=str(gate))) for _ in range(4)]
    eventually(lambda: all("going" in field.log(run) for run in going))
    request = field.request(SHORT)
    waiting = [submission.submit(field.backend, request) for _ in range(50)]
    with redis.Redis.from_url(servers.redis.url) as client:
        client.set("somebody:else", "kept")
        forget(field, servers)
        field.start_scheduler()
        eventually(lambda: field.backend.state.count_runs() == 55, what="all runs are listed again")
        gate.touch()
        for run in going:
            assert field.wait_until(run, RunStatus.COMPLETED).attempt == 1, "its worker ended it"
            assert field.log(run) == "going\n"
        for run in waiting:
            assert field.wait_until(run, RunStatus.COMPLETED, seconds=90).attempt == 1
            assert field.log(run) == "ran\n"
        assert client.get("somebody:else") == b"kept"
    assert field.find(done).status is RunStatus.COMPLETED
    assert worker.poll() is None


def ended_run(n: int) -> RunRecord:
    entry = TimelineEntry(status=RunStatus.COMPLETED, at=now(), attempt=1)
    return RunRecord(
        id=f"iris-{n:08}", experiment="old", status=RunStatus.COMPLETED, created_at=now(), pool="default",
        function="iris", attempt=1, timeline=[entry],
    )  # fmt: skip


@pytest.mark.timeout(420)
def test_thousands_of_runs_come_back_and_one_can_see_how_far_it_is(field: Field, servers: Servers) -> None:
    backend, ended = field.backend, [ended_run(n) for n in range(3000)]

    def keep(run: RunRecord) -> None:
        backend.objects.put(backend.keys.final(run.id), to_json(FinalRecord(run=run)))

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(keep, ended))
    accepted = [field.submit(SHORT) for _ in range(5)]
    forget(field, servers)
    assert restoring.restore_open(backend) == 5
    assert {run.status for run in map(field.find, accepted)} == {RunStatus.QUEUED}
    with ThreadPoolExecutor(1) as scheduler:
        filling = scheduler.submit(restoring.restore_ended, backend)
        eventually(lambda: "of 3000" in restoring.progress(backend), what="one sees how far it is")
        assert field.find(ended[-1]) == ended[-1], "found although it is not listed yet"
        assert filling.result(180) == 3000  # seconds, unless the machine is busy with other things
    assert restoring.progress(backend) == ""
    assert backend.state.count_runs(status=RunStatus.COMPLETED) == 3000
    assert restoring.restore_ended(backend) == restoring.restore_open(backend) == 0


def test_two_schedulers_that_both_think_they_lead_take_a_run_once(field: Field) -> None:
    runs_lost = [field.submit(SHORT) for _ in range(20)]
    for run in runs_lost:
        assert claims.claim(field.backend, run.id, "gone", lease_seconds=-1.0)
    both = [Care(field.backend, lease_seconds=0.0) for _ in range(2)]
    with ThreadPoolExecutor(2) as schedulers:
        taken = list(schedulers.map(lambda one: one.end_lost_attempts(), both))
    assert sum(taken) == 20
    for run in map(field.find, runs_lost):
        assert [e.status.value for e in run.timeline] == ["Queued", "Preparing", "Queued"]


def test_a_run_without_a_message_is_woken_again(field: Field, monkeypatch: object) -> None:
    from fitq.scheduler import care

    monkeypatch.setattr(care, "_MESSAGE_AFTER", care.timedelta(0))  # type: ignore[attr-defined]
    run = field.submit(SHORT)
    field.backend.queue.broker.flush(run.pool)
    field.start_scheduler()
    field.start_worker()
    field.wait_until(run, RunStatus.COMPLETED)


def test_a_message_that_comes_many_times_is_one_execution(field: Field) -> None:
    run = field.submit(SHORT)
    for _ in range(9):
        field.backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
    field.backend.queue.send(pool=run.pool, actor=run.actor, run_id="nobody-1")
    field.start_worker()
    ended = field.wait_until(run, RunStatus.COMPLETED)
    eventually(lambda: field.backend.queue.count(run.pool) == 0, what="every message is answered")
    assert field.find(run) == ended
    assert field.log(run) == "ran\n"


def test_a_redis_that_stands_still_for_two_seconds_is_waited_for(field: Field, servers: Servers) -> None:
    field.start_worker()
    first = field.submit(SHORT)
    field.wait_until(first, RunStatus.COMPLETED)
    with redis.Redis.from_url(servers.redis.url) as client:
        client.client_pause(2000)
    runs = [field.submit(SHORT) for _ in range(3)]
    assert [field.wait_until(run, RunStatus.COMPLETED).attempt for run in runs] == [1, 1, 1]


def test_what_a_worker_cannot_run_waits_for_one_that_can(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while workers are replaced one by one: some do not have the newest function yet."""
    monkeypatch.setattr("fitq.scheduler.care._MESSAGE_AFTER", timedelta(0))
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "newest.py").write_text(NEWEST)
    field.start_worker()
    field.wait_until(field.submit(SHORT), RunStatus.COMPLETED)
    script = admit(field.backend, field.request(SHORT))
    planned = msgspec.structs.replace(script, id="newest-1", function="newest", script=None, snapshot=None)
    field.backend.objects.put(field.backend.keys.open_run(planned.id), to_json(planned))
    field.start_scheduler()
    eventually(lambda: "newest" in (tmp_path / "worker0.log").read_text(), what="the worker was asked")
    assert field.find(planned).status is RunStatus.QUEUED
    field.wait_until(field.submit(SHORT), RunStatus.COMPLETED)
    field.start_worker(functions=str(tmp_path / "functions"))
    assert field.wait_until(planned, RunStatus.COMPLETED, seconds=90).attempt == 1


def test_a_run_accepted_by_a_process_that_died_is_queued(field: Field) -> None:
    run = field.submit(SHORT)
    planned = admit(field.backend, RunRequest(snapshot=run.snapshot, script="train.py"))
    field.backend.objects.put(field.backend.keys.open_run(planned.id), to_json(planned))
    assert restoring.restore_open(field.backend) == 1
    field.start_worker()
    assert field.wait_until(planned, RunStatus.COMPLETED).attempt == 1
