"""Files of lost attempts go when their run has been over for a day; nothing else ever does."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fitq import attempts, claims
from fitq.backend import Backend
from fitq.records import RunRecord, RunStatus, now
from fitq.scheduler import leftovers
from fitq.scheduler.leftovers import Leftovers
from tests.dashboard.samples import ended, running, submitted


def with_a_file(backend: Backend, held: RunRecord) -> str:
    key = backend.keys.attempt_file(held, "outputs/model.joblib")
    backend.objects.put(key, b"of this attempt")
    return key


def lost_once(backend: Backend) -> tuple[RunRecord, str]:
    """A run whose first attempt left a file and was lost; and that file."""
    held = running(backend, submitted(backend))
    key = with_a_file(backend, held)
    return claims.lose(backend, held), key


@pytest.fixture
def a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "now", lambda: now() + timedelta(days=1, seconds=1))


def keys_of(backend: Backend) -> set[str]:
    return {found.key for found in backend.objects.list(backend.keys.runs())}


def test_files_of_a_lost_attempt_go_a_day_after_the_end(
    memory_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lost = lost_once(memory_backend)
    ended(memory_backend, running(memory_backend, run), log=b"x", files={"outputs/model.joblib": b"kept"})
    before, sweep = keys_of(memory_backend), Leftovers(memory_backend)
    assert sweep.delete_some() == 0, "it ended a moment ago"
    monkeypatch.setattr(leftovers, "now", lambda: now() + timedelta(days=1, seconds=1))
    assert sweep.delete_some() == 1
    assert keys_of(memory_backend) == before - {lost}
    assert sweep.delete_some() == 0


@pytest.mark.usefixtures("a_day_later")
def test_nothing_of_a_run_that_goes_on_or_waits_is_touched(memory_backend: Backend) -> None:
    lost_once(memory_backend)
    with_a_file(memory_backend, running(memory_backend, lost_once(memory_backend)[0]))
    before = keys_of(memory_backend)
    assert Leftovers(memory_backend).delete_some() == 0
    assert keys_of(memory_backend) == before


@pytest.mark.usefixtures("a_day_later")
def test_the_final_record_decides_which_attempt_counts_not_redis(memory_backend: Backend) -> None:
    """Redis may know a run as ended that has no such record, or by another attempt than the one that won."""
    state = memory_backend.state
    held = running(memory_backend, submitted(memory_backend))
    with_a_file(memory_backend, held)
    for status in (RunStatus.FINALIZING, RunStatus.COMPLETED):
        held = attempts.advance(memory_backend, held, status)
    other = msgspec.structs.replace(held, claim_id="another", sequence=held.sequence + 1)
    assert state.replace_run(other)
    unrecorded = keys_of(memory_backend)
    assert Leftovers(memory_backend).delete_some() == 0
    assert keys_of(memory_backend) == unrecorded

    winner = ended(memory_backend, running(memory_backend, submitted(memory_backend)), log=b"x")
    late = msgspec.structs.replace(winner, claim_id="late", sequence=winner.sequence + 1)
    lost = with_a_file(memory_backend, late)
    assert state.replace_run(late)
    before = keys_of(memory_backend)
    assert Leftovers(memory_backend).delete_some() == 1
    assert keys_of(memory_backend) == before - {lost}


@pytest.mark.usefixtures("a_day_later")
def test_it_goes_through_all_runs_in_steps(memory_backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_RUNS_AT_ONCE", 2)
    monkeypatch.setattr(leftovers, "_FILES_AT_ONCE", 1)
    for _ in range(3):
        run, _ = lost_once(memory_backend)
        ended(memory_backend, running(memory_backend, run))
    sweep = Leftovers(memory_backend)
    assert [sweep.delete_some() for _ in range(4)] == [2, 1, 0, 0]
