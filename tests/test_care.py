"""What the leading scheduler does in a round, without any server; the clock is handed in."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from fitq import attempts, runs
from fitq.backend import Backend
from fitq.queue import NullQueue
from fitq.records import RunRecord, RunStatus, TimelineEntry, now
from fitq.scheduler import care
from fitq.scheduler.care import Care

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


def test_an_attempt_is_lost_when_its_lease_has_run_out(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    attempts.claim(memory_backend, queued.id, "w", LEASE_SECONDS)
    clock.forward(LEASE_SECONDS - 1)
    assert look_after.end_lost_attempts() == 0
    clock.forward(2)
    assert look_after.end_lost_attempts() == 1
    assert status(memory_backend, queued) is RunStatus.QUEUED
    assert memory_backend.state.list_leases() == {}


def test_a_lease_that_redis_alone_lost_gets_a_whole_lease_to_come_back(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    """However often that happens: what was once missing, came back and is missing again waits anew."""
    look_after = Care(memory_backend, LEASE_SECONDS)
    held = attempts.claim(memory_backend, queued.id, "w", LEASE_SECONDS)
    assert held is not None
    lease = attempts.lease_of(held)
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


def test_leases_of_attempts_that_are_over_are_swept_up(
    memory_backend: Backend, queued: RunRecord, clock: Clock
) -> None:
    look_after = Care(memory_backend, LEASE_SECONDS)
    held = attempts.claim(memory_backend, queued.id, "w", LEASE_SECONDS)
    assert held is not None
    attempts.hand_back(memory_backend, held, "the worker stops")
    memory_backend.state.renew_leases([attempts.lease_of(held)], LEASE_SECONDS)  # by a straggler
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
