"""Redis and the object store come and go; what was accepted is done, and done once."""

from __future__ import annotations

from pathlib import Path

import redis

from fitq import restoring, submission
from fitq.queue import namespace_of
from fitq.records import RunRequest, RunStatus
from tests.conftest import Servers, eventually
from tests.faults.conftest import Field

SHORT = "print('ran')"
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
    worker = field.start_worker()
    done = field.submit(SHORT)
    field.wait_until(done, RunStatus.COMPLETED)
    gate = tmp_path / "gate"
    going = field.submit(GOES_ON.format(gate=str(gate)))
    eventually(lambda: "going" in field.log(going))
    waiting = [field.submit(SHORT) for _ in range(5)]

    forget(field, servers)
    field.start_scheduler()

    eventually(lambda: field.backend.state.count_runs() == 7, what="all runs are listed again")
    assert field.find(done).status is RunStatus.COMPLETED
    gate.touch()
    ended = field.wait_until(going, RunStatus.COMPLETED)
    assert ended.attempt == 1, "the worker that had it brought it to its end"
    for run in waiting:
        assert field.wait_until(run, RunStatus.COMPLETED).attempt == 1
        assert field.log(run) == "ran\n"
    assert worker.poll() is None


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
    eventually(lambda: not field.backend.queue.run_ids(run.pool), what="every message is answered")
    assert field.find(run) == ended
    assert field.log(run) == "ran\n"


def test_a_run_accepted_by_a_process_that_died_is_queued(field: Field) -> None:
    run = field.submit(SHORT)
    planned = submission._planned(field.backend, RunRequest(snapshot=run.snapshot, script="train.py"))
    field.backend.objects.put(field.backend.keys.open_run(planned.id), submission.to_json(planned))
    assert restoring.restore_open(field.backend) == 1
    field.start_worker()
    assert field.wait_until(planned, RunStatus.COMPLETED).attempt == 1
