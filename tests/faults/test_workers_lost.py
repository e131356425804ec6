"""Workers that die, stop or wake up late: no run is lost, none runs into another."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
from pathlib import Path

from fitq import claims, runs
from fitq.records import RunStatus
from fitq.worker.folder import name_of
from tests.conftest import eventually
from tests.faults.conftest import LEASE_SECONDS, Field

# The first attempt goes on for ever; any later one until it is let go.
EACH_WAITS = """
import pathlib, time
mark, gate = pathlib.Path({mark!r}), pathlib.Path({gate!r})
name = "later" if mark.exists() else "first"
mark.touch()
pathlib.Path(f"outputs/of-the-{{name}}.txt").write_text("x")
print(name, "attempt", flush=True)
while name == "first" or not gate.exists():
    time.sleep(0.02)
"""
# Saves what it has when it is told to stop, which takes as long as the test wants.
SAVES = """
import pathlib, signal, sys, time
told, gate = pathlib.Path({told!r}), pathlib.Path({gate!r})
signal.signal(signal.SIGTERM, lambda *_: told.touch())
print("started", flush=True)
while not gate.exists():
    time.sleep(0.02)
"""
# The first attempt leaves a mark and waits to be killed; any later one completes.
FIRST_WAITS = """
import pathlib, time
mark = pathlib.Path({mark!r})
if not mark.exists():
    mark.touch()
    pathlib.Path("outputs/of-the-first.txt").write_text("x")
    print("first attempt", flush=True)
    time.sleep(1000)
pathlib.Path("outputs/result.txt").write_text("done")
print("later attempt")
"""


def test_a_killed_workers_run_is_taken_over(field: Field, tmp_path: Path) -> None:
    work = tmp_path / "shared-work"
    field.start_scheduler()
    first = field.start_worker(work_dir=work)
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")))
    eventually(lambda: "first attempt" in field.log(run))
    first.send_signal(signal.SIGKILL)
    first.wait()
    eventually(lambda: not field.processes_of(run), seconds=3, what="the script dies with its worker")
    assert [place.name for place in work.iterdir()] == [name_of(field.find(run))]
    field.start_worker(work_dir=work)
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert ended.attempt == 2
    assert [e.status.value for e in ended.timeline] == [
        "Queued", "Preparing", "Running", "Queued", "Preparing", "Running", "Finalizing", "Completed",
    ]  # fmt: skip
    assert "was lost" in ended.timeline[3].reason
    assert [a.path for a in runs.artifacts(field.backend, ended)] == [
        "outputs/result.txt",
        "user_logs/std_log.txt",
    ]
    assert field.log(run) == "first attempt\n[fitq] attempt 2\nlater attempt\n"
    eventually(lambda: list(work.iterdir()) == [], what="nothing of either attempt is left on the disk")


def test_where_another_works_on_the_same_disk_nobody_waits_for_a_dead_workers_lease(
    field: Field, tmp_path: Path
) -> None:
    """The kernel lets go of its locks: that is proof; a lease is only a guess. No scheduler is needed."""
    work = tmp_path / "shared-work"
    both = [field.start_worker(work_dir=work, lease_seconds=600.0, warm_start=0) for _ in range(2)]
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")))
    eventually(lambda: "first attempt" in field.log(run))
    [first] = [w for w in both if field.find(run).worker.endswith(f"-{w.pid}")]
    first.kill()
    ended = field.wait_until(run, RunStatus.COMPLETED, seconds=20)
    assert (ended.attempt, ended.losses) == (2, 1)
    assert "was lost" in ended.timeline[3].reason
    eventually(lambda: list(work.iterdir()) == [], what="nothing of either attempt is left on the disk")


def test_a_worker_that_stands_still_or_is_of_another_machine_is_not_dead(
    field: Field, tmp_path: Path
) -> None:
    work = tmp_path / "shared-work"
    both = [field.start_worker(work_dir=work, lease_seconds=600.0, warm_start=0) for _ in range(2)]
    run = field.submit(EACH_WAITS.format(mark=str(tmp_path / "mark"), gate=str(tmp_path / "gate")))
    eventually(lambda: "first attempt" in field.log(run))
    [holder] = [w for w in both if field.find(run).worker.endswith(f"-{w.pid}")]
    (folder,) = work.glob(f"{run.id}-*")
    holder.send_signal(signal.SIGSTOP)
    wait_until_looked_at(work)
    assert (field.find(run).status, field.find(run).attempt) == (RunStatus.RUNNING, 1)
    (folder / "lock").write_text("of another machine, whose locks cannot be seen from here")
    holder.kill()
    holder.wait()
    wait_until_looked_at(work)
    assert (field.find(run).status, field.find(run).attempt) == (RunStatus.RUNNING, 1)
    claims.lose(field.backend, field.find(run))  # as a scheduler does, after its lease
    eventually(lambda: not folder.exists(), what="nothing of an attempt that is over is left")


def wait_until_looked_at(work: Path) -> None:
    """Those that look go by the alphabet: once this is gone, they have seen all others."""
    last = work / "zzz-last-1-00c0ffee"
    last.mkdir()
    (last / "lock").touch()
    eventually(lambda: not last.exists(), what="somebody looks for what is abandoned")


def test_a_run_that_may_have_no_more_attempts_ends_as_worker_lost(field: Field, tmp_path: Path) -> None:
    field.start_scheduler()
    worker = field.start_worker()
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")), max_attempts=1)
    eventually(lambda: "first attempt" in field.log(run))
    worker.send_signal(signal.SIGKILL)
    ended = field.wait_until(run, RunStatus.FAILED)
    assert ended.failure is not None
    assert ended.failure.kind == "worker_lost"
    assert field.log(run) == "first attempt\n"


def test_a_canceled_run_of_a_lost_worker_is_canceled(field: Field, tmp_path: Path) -> None:
    worker = field.start_worker()
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")))
    eventually(lambda: "first attempt" in field.log(run))
    worker.send_signal(signal.SIGSTOP)
    runs.cancel(field.backend, run.id)
    worker.send_signal(signal.SIGKILL)
    field.start_scheduler()
    assert field.wait_until(run, RunStatus.CANCELED).attempt == 1


def test_a_worker_that_wakes_up_late_is_silent(field: Field, tmp_path: Path) -> None:
    field.start_scheduler()
    sleeper = field.start_worker()
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")))
    eventually(lambda: "first attempt" in field.log(run))
    sleeper.send_signal(signal.SIGSTOP)
    field.start_worker()
    ended = field.wait_until(run, RunStatus.COMPLETED)
    sleeper.send_signal(signal.SIGCONT)
    eventually(lambda: not field.processes_of(run), seconds=10, what="the late worker ends its script")
    assert field.find(run) == ended
    assert ended.attempt == 2
    assert "outputs/of-the-first.txt" not in [a.path for a in runs.artifacts(field.backend, ended)]


def test_a_worker_that_wakes_up_while_another_executes_its_run_ends_its_own_script_and_no_other(
    field: Field, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    field.start_scheduler()
    sleeper = field.start_worker(warm_start=0)
    run = field.submit(EACH_WAITS.format(mark=str(tmp_path / "mark"), gate=str(gate)))
    eventually(lambda: "first attempt" in field.log(run))
    of_the_first = set(field.processes_of(run))
    assert of_the_first
    sleeper.send_signal(signal.SIGSTOP)
    field.start_worker(warm_start=0)
    eventually(lambda: "later attempt" in field.log(run), what="another worker has the run")
    sleeper.send_signal(signal.SIGCONT)
    eventually(lambda: not of_the_first & set(field.processes_of(run)), what="the first script is ended")
    assert (field.find(run).status, field.find(run).attempt) == (RunStatus.RUNNING, 2)
    assert field.processes_of(run), "the other one goes on"
    gate.touch()
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert ended.attempt == 2
    assert [a.path for a in runs.artifacts(field.backend, ended)] == [
        "outputs/of-the-later.txt",
        "user_logs/std_log.txt",
    ]
    assert field.log(run) == "first attempt\n[fitq] attempt 2\nlater attempt\n"


def test_a_worker_told_to_stop_takes_nothing_more_and_keeps_what_it_has_until_it_has_handed_it_back(
    field: Field, tmp_path: Path
) -> None:
    """Its script takes its time to stop, longer than a lease."""
    told, gate = tmp_path / "told", tmp_path / "gate"
    stopped = field.start_worker(warm_start=0, slots=2, grace_seconds=60.0)
    run = field.submit(SAVES.format(told=str(told), gate=str(gate)))
    eventually(lambda: "started" in field.log(run))
    stopped.terminate()
    eventually(told.exists, what="its script is told")
    (lease,) = field.backend.state.list_leases()
    ended_at = field.backend.state.list_leases()[lease].ends
    more = [field.submit("print('done')") for _ in range(2)]
    other = field.start_worker(warm_start=0)
    for short in more:
        done = field.wait_until(short, RunStatus.COMPLETED)
        assert (done.attempt, done.worker.endswith(f"-{other.pid}")) == (1, True)
    field.start_scheduler()  # not before: it has messages fetched again that nobody takes
    renewed_at = ended_at + 2 * LEASE_SECONDS
    eventually(lambda: field.backend.state.list_leases()[lease].ends > renewed_at, what="it is renewed")
    assert stopped.poll() is None
    gate.touch()
    assert stopped.wait(30) == 0
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert (ended.attempt, ended.losses) == (2, 0)
    assert ended.timeline[3].reason == "the worker was stopped"


def test_a_worker_told_to_stop_hands_its_run_back_at_once(field: Field, tmp_path: Path) -> None:
    first = field.start_worker()
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")))
    eventually(lambda: "first attempt" in field.log(run))
    first.terminate()
    assert first.wait(20) == 0
    assert field.find(run).status is RunStatus.QUEUED
    field.start_worker()
    assert field.wait_until(run, RunStatus.COMPLETED).attempt == 2


def test_a_script_that_kills_its_worker_does_not_run_for_ever(field: Field) -> None:
    # The script's parent is its keeper; the keeper's parent is the worker.
    field.settings = dataclasses.replace(field.settings, warm_start=0, isolation="off")
    field.start_scheduler()
    run = field.submit(
        "import os, signal\n"
        "keeper = open(f'/proc/{os.getppid()}/stat').read()\n"
        "os.kill(int(keeper.rpartition(')')[2].split()[1]), signal.SIGKILL)\n",
        max_attempts=2,
    )
    for _ in range(2):
        worker = field.start_worker()
        worker.wait(40)
    ended = field.wait_until(run, RunStatus.FAILED)
    assert ended.failure is not None
    assert (ended.failure.kind, ended.attempt) == ("worker_lost", 2)


def test_another_scheduler_takes_over_when_the_one_that_leads_is_killed(field: Field, tmp_path: Path) -> None:
    schedulers = [field.start_scheduler_process() for _ in range(2)]
    worker = field.start_worker(warm_start=0)
    run = field.submit(FIRST_WAITS.format(mark=str(tmp_path / "mark")))
    eventually(lambda: "first attempt" in field.log(run))

    def leader() -> subprocess.Popen[bytes] | None:
        name = field.backend.state.leader() or ""
        return next((s for s in schedulers if f"-{s.pid} " in name), None)

    first = eventually(leader, what="one of them leads")
    worker.kill()
    first.kill()
    assert first.wait(20) == -signal.SIGKILL
    field.start_worker(warm_start=0)
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert (ended.attempt, ended.losses) == (2, 1)
    assert leader() not in (None, first)


def test_ten_copies_of_a_message_start_a_script_once_also_one_that_fails(
    field: Field, tmp_path: Path
) -> None:
    for _ in range(2):
        field.start_worker(warm_start=0, slots=2)
    eventually(lambda: len(field.backend.state.list_workers()) == 2, what="both workers wait")
    starts = {code: tmp_path / f"starts{code}" for code in (0, 1)}
    script = "import sys\nwith open({!r}, 'a') as f: f.write('started\\n')\nsys.exit({})\n"
    submitted = {code: field.submit(script.format(str(f), code)) for code, f in starts.items()}
    for _ in range(9):
        for run in submitted.values():
            field.backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
    for code, run in submitted.items():
        ended = field.wait_until(run, RunStatus.COMPLETED, RunStatus.FAILED)
        assert (ended.status is RunStatus.FAILED, ended.attempt, ended.max_attempts) == (code == 1, 1, 3)
    eventually(lambda: field.backend.queue.count("default") == 0, what="every copy is done with")
    assert [f.read_text() for f in starts.values()] == ["started\n"] * 2
    assert [field.find(run).attempt for run in submitted.values()] == [1, 1]


def test_a_run_that_waited_for_its_worker_keeps_its_lease(field: Field) -> None:
    """Its message is there when the worker boots, and it takes longer than a lease."""
    run = field.submit("import time; time.sleep(5); print('done')")
    field.start_scheduler()
    field.start_worker(warm_start=0)
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert (ended.attempt, ended.losses) == (1, 0)
    assert ended.isolation == field.backend.state.list_workers()[0].isolation, "and is confined as any other"
