"""What the leading scheduler does in a round, without any server; the clock is handed in."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import NoReturn

import msgspec
import pytest

from fitq import attempts, claims, restoring, runs
from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.queue import NullQueue
from fitq.records import FinalRecord, RunRecord, RunStatus, TimelineEntry, now, to_json
from fitq.scheduler import care
from fitq.scheduler.care import Care
from fitq.scheduler.main import Scheduler
from fitq.store.protocols import Lease, LeaseEnd

LEASE_SECONDS = 15.0


class Clock:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._passed = 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self._passed)
        monkeypatch.setattr(care, "now", lambda: now() + timedelta(seconds=self._passed))

    def forward(self, seconds: float) -> None:
        self._passed += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def queued(memory_backend: Backend) -> RunRecord:
    run = RunRecord(
        id="iris-1", experiment="e", status=RunStatus.QUEUED, created_at=now(), pool="default",
        function="iris", timeline=[TimelineEntry(status=RunStatus.QUEUED, at=now(), attempt=0)],
    )  # fmt: skip
    memory_backend.state.add_run(run)
    return run


def status(backend: Backend, run: RunRecord) -> RunStatus:
    return runs.find(backend, run.id).status


def accepted(backend: Backend, like: RunRecord, run_id: str) -> RunRecord:
    """One that Redis does not know, or not any more."""
    run = msgspec.structs.replace(like, id=run_id)
    backend.objects.put(backend.keys.open_run(run.id), to_json(run))
    return run


def held_by(backend: Backend, run: RunRecord) -> Lease:
    held = claims.claim(backend, run.id, "w", LEASE_SECONDS)
    assert held is not None
    return attempts.lease_of(held)


def test_an_attempt_is_lost_when_its_lease_has_run_out(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    held_by(memory_backend, queued)
    for seconds in (0, LEASE_SECONDS / 2, LEASE_SECONDS / 2 - 1):
        clock.forward(seconds)
        assert look_after.end_lost_attempts() == 0
    clock.forward(2)
    assert look_after.end_lost_attempts() == 1
    assert status(memory_backend, queued) is RunStatus.QUEUED
    assert memory_backend.state.list_leases() == {}


def test_after_an_outage_a_worker_that_lives_has_the_time_to_be_heard(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    lease = held_by(memory_backend, queued)
    clock.forward(10 * LEASE_SECONDS)
    look_after.begin_anew()
    assert look_after.end_lost_attempts() == 0
    clock.forward(care.patience(LEASE_SECONDS) - 1)
    assert look_after.end_lost_attempts() == 0
    memory_backend.state.renew_leases([lease], LEASE_SECONDS)
    clock.forward(2)
    assert look_after.end_lost_attempts() == 0


def test_one_that_does_not_is_lost_soon(memory_backend: Backend, queued: RunRecord, clock: Clock) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    held_by(memory_backend, queued)
    clock.forward(10 * LEASE_SECONDS)
    look_after.begin_anew()
    assert look_after.end_lost_attempts() == 0
    clock.forward(care.patience(LEASE_SECONDS) + 1)
    assert look_after.end_lost_attempts() == 1


def test_outages_that_follow_each_other_do_not_keep_the_run_of_a_dead_worker(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    held_by(memory_backend, queued)
    lost = []
    for _ in range(4):  # Redis is there for less than what we wait, again and again
        lost.append(look_after.end_lost_attempts())
        clock.forward(care.patience(LEASE_SECONDS) / 2)
        lost.append(look_after.end_lost_attempts())
        clock.forward(5)
        look_after.was_away(5)
    assert lost == [0, 0, 0, 0, 1, 0, 0, 0]


def test_a_worker_that_was_heard_just_before_an_outage_has_all_the_time_after_it(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    lease = held_by(memory_backend, queued)
    assert look_after.end_lost_attempts() == 0
    clock.forward(10 * LEASE_SECONDS)
    look_after.was_away(10 * LEASE_SECONDS)
    for _ in range(3):
        assert look_after.end_lost_attempts() == 0
        clock.forward(care.patience(LEASE_SECONDS) / 3 - 0.5)
    memory_backend.state.renew_leases([lease], LEASE_SECONDS)
    clock.forward(1)
    assert look_after.end_lost_attempts() == 0


def test_rounds_that_fail_half_way_count_no_outage_twice(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that cuts now and then lets a round begin and not end; a dead worker is not spared for that."""
    scheduler = Scheduler(memory_backend, LEASE_SECONDS)
    held_by(memory_backend, queued)
    scheduler.round()
    clock.forward(LEASE_SECONDS + 1)
    with monkeypatch.context() as cut:
        cut.setattr(memory_backend.state, "list_leases", unavailable)
        for _ in range(10):
            scheduler.round()
            clock.forward(3)
    for _ in range(3):
        assert status(memory_backend, queued) is RunStatus.PREPARING, "it could have been heard meanwhile"
        scheduler.round()
        clock.forward(3)
    scheduler.round()
    assert status(memory_backend, queued) is RunStatus.QUEUED


def test_a_scheduler_that_takes_over_has_looked_on_and_judges_at_once(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    """Also one that starts anew, while Redis still names the one that was killed."""
    first, second = (Scheduler(memory_backend, LEASE_SECONDS) for _ in range(2))
    held_by(memory_backend, queued)
    first.round()
    leader = memory_backend.state.leader()
    second._id = "another"
    for _ in range(4):
        clock.forward(3)
        first.round()
        second.round()
    assert memory_backend.state.leader() == leader
    assert status(memory_backend, queued) is RunStatus.PREPARING
    clock.forward(7)  # the first is dead
    second.round()
    assert memory_backend.state.leader() == "another"
    assert status(memory_backend, queued) is RunStatus.QUEUED


def test_an_emptied_redis_is_judged_and_filled_anew_also_by_who_looks_on(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(memory_backend, LEASE_SECONDS)
    scheduler.round()
    clock.forward(care.patience(LEASE_SECONDS))
    lost = accepted(memory_backend, queued, "lost-1")
    memory_backend.state.lead("another", 1)
    monkeypatch.setattr(memory_backend.state, "epoch", lambda: "emptied")
    scheduler.round()
    clock.forward(care.patience(LEASE_SECONDS) - 1)
    scheduler.round()
    assert memory_backend.state.get_run(lost.id) is None, "a worker that executes it may yet say so"
    clock.forward(1)
    scheduler.round()
    scheduler._restoring.join(10)
    assert status(memory_backend, lost) is RunStatus.QUEUED


def test_a_redis_that_comes_back_empty_is_filled_soon_however_long_it_was_away(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(memory_backend, LEASE_SECONDS)
    scheduler.round()
    with monkeypatch.context() as cut:
        cut.setattr(memory_backend.state, "lead", lambda *_: unavailable())
        for _ in range(20):
            scheduler.round()
            clock.forward(3)
    lost = accepted(memory_backend, queued, "lost-1")
    monkeypatch.setattr(memory_backend.state, "epoch", lambda: "emptied")
    scheduler.round()
    clock.forward(care.patience(LEASE_SECONDS))
    scheduler.round()
    scheduler._restoring.join(10)
    assert status(memory_backend, lost) is RunStatus.QUEUED


def unavailable() -> NoReturn:
    raise Unavailable("cut")


def test_a_clock_that_jumps_loses_nobody_and_saves_nobody(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    lease = held_by(memory_backend, queued)
    for jump in (3600.0, -3600.0):
        ends = memory_backend.state.list_leases()[lease].ends
        told = {lease: LeaseEnd(ends, LEASE_SECONDS - jump)}
        monkeypatch.setattr(memory_backend.state, "list_leases", lambda told=told: told)
        assert look_after.end_lost_attempts() == 0, "it was renewed a moment ago, whatever the clock says"
    clock.forward(LEASE_SECONDS + 1)
    assert look_after.end_lost_attempts() == 1, "not renewed for a lease on our own clock"


def test_a_scheduler_that_stands_still_while_it_looks_takes_no_run_for_that(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it read is old by the time it judges."""
    look_after = Care(memory_backend, LEASE_SECONDS)
    held_by(memory_backend, queued)
    look_after.look()
    clock.forward(3)
    read = memory_backend.state.list_leases()

    def stand_still() -> dict[Lease, LeaseEnd]:
        clock.forward(10 * LEASE_SECONDS)
        return read

    monkeypatch.setattr(memory_backend.state, "list_leases", stand_still)
    assert look_after.end_lost_attempts() == 0


def test_a_lease_that_redis_alone_lost_gets_a_whole_lease_to_come_back(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    """However often that happens: what was once missing, came back and is missing again waits anew."""
    look_after = Care(memory_backend, LEASE_SECONDS)
    lease = held_by(memory_backend, queued)
    for _ in range(3):
        memory_backend.state.drop_lease(lease)
        assert look_after.end_lost_attempts() == 0
        clock.forward(LEASE_SECONDS - 1)
        assert look_after.end_lost_attempts() == 0
        memory_backend.state.renew_leases([lease], LEASE_SECONDS)
        assert look_after.end_lost_attempts() == 0
    memory_backend.state.drop_lease(lease)
    assert look_after.end_lost_attempts() == 0
    clock.forward(LEASE_SECONDS + 1)
    assert look_after.end_lost_attempts() == 1


def test_an_object_store_that_is_away_keeps_nobody_else_waiting(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = msgspec.structs.replace(queued, id="iris-2")
    memory_backend.state.add_run(other)
    look_after = Care(memory_backend, LEASE_SECONDS)
    for run in (queued, other):
        held_by(memory_backend, run)
    look_after.end_lost_attempts()
    clock.forward(LEASE_SECONDS + 1)
    get = memory_backend.objects.get

    def half_away(key: str) -> bytes | None:
        if queued.id in key:
            raise Unavailable
        return get(key)

    monkeypatch.setattr(memory_backend.objects, "get", half_away)
    assert look_after.end_lost_attempts() == 1
    assert [status(memory_backend, run) for run in (queued, other)] == [
        RunStatus.PREPARING,
        RunStatus.QUEUED,
    ]
    monkeypatch.undo()


def test_a_final_record_that_cannot_be_read_keeps_nobody_else_waiting(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    """Whatever altered it. Its own run waits for somebody to bring it back."""
    objects, keys = memory_backend.objects, memory_backend.keys
    other = msgspec.structs.replace(queued, id="iris-2")
    memory_backend.state.add_run(other)
    for run in (queued, other):
        held_by(memory_backend, run)
    objects.put(keys.final(queued.id), b'{"run": {"id": "iris-1", "sta')
    look_after = Care(memory_backend, LEASE_SECONDS)
    look_after.end_lost_attempts()
    clock.forward(LEASE_SECONDS + 1)
    assert look_after.end_lost_attempts() == 1
    assert status(memory_backend, other) is RunStatus.QUEUED
    assert status(memory_backend, queued) is RunStatus.PREPARING

    gone = msgspec.structs.replace(queued, id="iris-3", status=RunStatus.COMPLETED)
    for run_id, data in (("broken-1", b"{"), (gone.id, to_json(FinalRecord(run=gone)))):
        objects.put(keys.final(run_id), data)
    assert restoring.restore_ended(memory_backend) == 1
    assert status(memory_backend, gone) is RunStatus.COMPLETED
    with pytest.raises(Unavailable, match="FinalRecord that was kept cannot be read"):
        runs.find(memory_backend, "broken-1")


def test_only_losses_count_towards_the_most_attempts(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    """A worker that is stopped in order hands its run back; that may happen any number of times."""
    for n in range(5):
        held = claims.claim(memory_backend, queued.id, f"w{n}", LEASE_SECONDS)
        assert held is not None
        claims.hand_back(memory_backend, held, "the worker was stopped")
    for n in range(queued.max_attempts):
        assert status(memory_backend, queued) is RunStatus.QUEUED
        held = claims.claim(memory_backend, queued.id, f"w{n}", LEASE_SECONDS)
        assert held is not None
        claims.lose(memory_backend, held)
    ended = runs.find(memory_backend, queued.id)
    assert (ended.status, ended.attempt) == (RunStatus.FAILED, 8)
    assert ended.failure is not None
    assert ended.failure.kind == "worker_lost"
    assert "memory" in ended.failure.hint
    assert "the worker's log" in ended.failure.hint


def test_what_was_given_back_already_is_not_lost_once_more(
    memory_backend: Backend, queued: RunRecord
) -> None:
    """Another scheduler may take a run between this one's look at the index and at the record."""
    held = claims.claim(memory_backend, queued.id, "w", LEASE_SECONDS)
    assert held is not None
    given_back = claims.lose(memory_backend, held)
    for seen in (held, given_back):
        with pytest.raises(attempts.Fenced):
            claims.lose(memory_backend, seen)
    held_by(memory_backend, queued)
    with pytest.raises(attempts.Fenced):
        claims.lose(memory_backend, held)
    assert runs.find(memory_backend, queued.id).losses == 1


def test_leases_of_attempts_that_are_over_are_swept_up(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    held = claims.claim(memory_backend, queued.id, "w", LEASE_SECONDS)
    assert held is not None
    claims.hand_back(memory_backend, held, "the worker stops")
    memory_backend.state.renew_leases([attempts.lease_of(held)], LEASE_SECONDS)  # by a straggler
    assert look_after.end_lost_attempts() == 0
    clock.forward(2 * LEASE_SECONDS + 1)
    assert look_after.end_lost_attempts() == 0
    assert memory_backend.state.list_leases() == {}


def test_a_queued_run_without_a_message_gets_one(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    assert look_after.send_missing_messages() == 0  # its message may be on the way
    clock.forward(11)
    assert look_after.send_missing_messages() == 1
    assert look_after.send_missing_messages() == 0
    assert isinstance(memory_backend.queue, NullQueue)
    assert memory_backend.queue.sent == [("default", "iris", queued.id)]


def test_a_queued_run_that_somebody_asked_to_cancel_is_canceled_and_not_woken(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    asked = msgspec.structs.replace(queued, cancel_requested=True, sequence=queued.sequence + 1)
    assert memory_backend.state.replace_run(asked)
    clock.forward(11)
    assert Care(memory_backend, LEASE_SECONDS).send_missing_messages() == 0
    assert status(memory_backend, queued) is RunStatus.CANCELED


def test_every_queued_run_is_looked_at_however_many_there_are(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(care, "_AT_ONCE", 2)
    others = [msgspec.structs.replace(queued, id=f"iris-{n}") for n in range(2, 7)]
    for run in others:
        memory_backend.state.add_run(run)
    clock.forward(11)
    assert Care(memory_backend, LEASE_SECONDS).send_missing_messages() == 6
    assert isinstance(memory_backend.queue, NullQueue)
    assert {run_id for _, _, run_id in memory_backend.queue.sent} == {r.id for r in (queued, *others)}


def test_messages_are_read_only_if_there_are_too_few_of_them(
    memory_backend: Backend, queued: RunRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_backend.queue.send(pool=queued.pool, actor="iris", run_id="canceled-1")
    monkeypatch.setattr(care, "_SEARCH_EVERY", 3)
    look_after = Care(memory_backend, LEASE_SECONDS)
    clock.forward(11)
    sent = [look_after.send_missing_messages() for _ in range(4)]
    assert sent == [0, 0, 1, 0]  # that of a canceled run makes up for it until they are searched


def test_one_run_that_cannot_be_read_keeps_no_other_from_coming_back(
    memory_backend: Backend, queued: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        accepted(memory_backend, queued, f"lost-{n}")
    get = memory_backend.objects.get

    def half_away(key: str) -> bytes | None:
        if "lost-1" in key:
            raise Unavailable
        return get(key)

    with monkeypatch.context() as away:
        away.setattr(memory_backend.objects, "get", half_away)
        with pytest.raises(Unavailable, match="1 of 3"):
            restoring.restore_open(memory_backend)
    assert {run.id for run in memory_backend.state.list_runs()} == {queued.id, "lost-0", "lost-2"}
    assert restoring.restore_open(memory_backend) == 1
