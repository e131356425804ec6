"""What every `StateStore` promises."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import msgspec

from fitq.records import (
    FunctionRecord,
    MetricPoint,
    PoolSettings,
    RunRecord,
    RunStatus,
    WorkerRecord,
    now,
)
from fitq.store.protocols import Lease, PoolLoad, Restoring, StateStore, Writer
from tests.conftest import eventually

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def a_run(id: str = "iris-1", minute: int = 0, experiment: str = "flowers", claim_id: str = "") -> RunRecord:
    at = DAY + timedelta(minutes=minute)
    return RunRecord(
        id=id,
        experiment=experiment,
        status=RunStatus.QUEUED,
        created_at=at,
        pool="default",
        claim_id=claim_id,
    )


def next_of(run: RunRecord, **changes: object) -> RunRecord:
    return msgspec.structs.replace(run, sequence=run.sequence + 1, **changes)


def test_a_run_comes_back_as_it_was_kept(state: StateStore) -> None:
    run = a_run()
    assert state.add_run(run)
    assert state.get_run(run.id) == run


def test_an_unknown_run_is_none(state: StateStore) -> None:
    assert state.get_run("nobody") is None


def test_the_same_id_is_kept_once(state: StateStore) -> None:
    assert state.add_run(a_run())
    assert not state.add_run(a_run(experiment="another"))
    assert state.get_run("iris-1") == a_run()


def test_a_run_is_replaced_only_over_the_version_before(state: StateStore) -> None:
    run = a_run()
    state.add_run(run)
    second = next_of(run, status=RunStatus.PREPARING)
    assert state.replace_run(second)
    assert not state.replace_run(next_of(run, status=RunStatus.CANCELED))
    assert state.get_run(run.id) == second


def test_a_run_of_another_claim_is_not_replaced_by_who_says_so(state: StateStore) -> None:
    run = a_run(claim_id="first")
    state.add_run(run)
    assert not state.replace_run(next_of(run, worker="late"), claimed_as="second")
    assert state.get_run(run.id) == run
    assert state.replace_run(next_of(run, worker="ours"), claimed_as="first")


def test_an_unknown_run_cannot_be_replaced(state: StateStore) -> None:
    assert not state.replace_run(next_of(a_run()))


def test_of_many_racing_writers_one_replaces(state: StateStore) -> None:
    run = a_run()
    state.add_run(run)
    won: list[bool] = []
    barrier = threading.Barrier(8)

    def race(n: int) -> None:
        barrier.wait()
        won.append(state.replace_run(next_of(run, worker=f"w{n}")))

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1


def test_listing_is_by_time_and_filtered(state: StateStore) -> None:
    first, second, third = a_run("a", 1), a_run("b", 2, "other"), a_run("c", 3)
    for run in (second, third, first):
        state.add_run(run)
    state.replace_run(next_of(third, status=RunStatus.PREPARING))

    def ids(**query: object) -> list[str]:
        return [r.id for r in state.list_runs(**query)]  # type: ignore[arg-type]

    assert ids() == ["c", "b", "a"]
    assert ids(newest_first=False) == ["a", "b", "c"]
    assert ids(offset=1, limit=1) == ["b"]
    assert ids(experiment="flowers") == ["c", "a"]
    assert ids(status=RunStatus.QUEUED) == ["b", "a"]
    assert ids(experiment="flowers", status=RunStatus.QUEUED) == ["a"]
    assert ids(experiment="flowers", status=RunStatus.FAILED) == []
    assert state.count_runs() == 3
    assert state.count_runs(experiment="flowers", status=RunStatus.QUEUED) == 1
    assert state.list_experiments() == ["flowers", "other"]


def test_a_log_is_read_from_any_offset(state: StateStore) -> None:
    assert state.append_log("r", b"one\n") == 4
    assert state.append_log("r", "zwölf\n".encode()) == 11
    assert state.read_log("r", 0, 100) == "one\nzwölf\n".encode()
    assert state.read_log("r", 4, 2) == b"zw"
    assert state.read_log("r", 11, 10) == b""
    assert state.read_log("unknown", 0, 10) == b""


def test_metrics_keep_their_order_and_their_types(state: StateStore) -> None:
    points = [MetricPoint(name="a", value=v, at=DAY, step=s) for s, v in enumerate([1, "x", {"k": [1.5]}])]
    state.append_metrics("r", points[:1])
    state.append_metrics("r", points[1:])
    state.append_metrics("r", [])
    assert state.read_metrics("r") == points


def test_live_data_is_dropped(state: StateStore) -> None:
    state.append_log("r", b"x")
    state.append_metrics("r", [MetricPoint(name="a", value=1, at=DAY)])
    state.drop_live("r")
    assert state.read_log("r", 0, 10) == b""
    assert state.read_metrics("r") == []


def test_what_was_remembered_first_stays(state: StateStore) -> None:
    assert state.remember_once("key", "run-1", 60) == "run-1"
    assert state.remember_once("key", "run-2", 60) == "run-1"
    assert state.remember_once("other", "run-2", 60) == "run-2"


def test_publishing_replaces_only_the_pools_own_functions(state: StateStore) -> None:
    def f(name: str, pool: str) -> FunctionRecord:
        return FunctionRecord(name=name, pool=pool)

    state.publish_functions("cpu", [f("a", "cpu"), f("b", "cpu")])
    state.publish_functions("big", [f("a", "big")])
    state.publish_functions("cpu", [f("c", "cpu")])
    assert state.list_functions() == [f("a", "big"), f("c", "cpu")]
    state.publish_functions("cpu", [])
    assert state.list_functions() == [f("a", "big")]


def test_pools_and_workers(state: StateStore) -> None:
    state.put_pool("cpu", PoolSettings(min_workers=1))
    state.put_pool("cpu", PoolSettings(min_workers=2))
    assert state.list_pools() == {"cpu": PoolSettings(min_workers=2)}
    state.put_pool("spare", PoolSettings())
    state.drop_pool("spare")
    state.drop_pool("spare")
    assert state.list_pools() == {"cpu": PoolSettings(min_workers=2)}

    worker = WorkerRecord(id="w1", pool="cpu", slots=1, seen_at=now(), started_at=now())
    state.report_worker(worker)
    assert state.list_workers() == [worker]
    state.forget_worker("w1")
    state.forget_worker("w1")
    assert state.list_workers() == []


def test_a_living_store_answers(state: StateStore) -> None:
    state.ping()


def test_a_version_that_is_kept_already_is_kept(state: StateStore) -> None:
    """Whoever heard no answer may say the same again."""
    state.add_run(a_run())
    second = next_of(a_run(), worker="w")
    assert state.replace_run(second)
    assert state.replace_run(second)
    assert not state.replace_run(next_of(a_run(), worker="x"))


def test_only_the_holder_adds_to_the_log_and_only_at_its_end(state: StateStore) -> None:
    state.add_run(next_of(a_run("r"), claim_id="mine"))
    assert state.append_log("r", b"one", of=Writer("mine", 0)) == 3
    assert state.append_log("r", b"one", of=Writer("mine", 0)) == 3, "said again: the answer was lost"
    assert state.append_log("r", b"late", of=Writer("another", 3)) == 3
    assert state.append_log("r", b"two", of=Writer("mine", 3)) == 6
    assert state.read_log("r", 0, 100) == b"onetwo"
    state.drop_live("r")
    assert state.append_log("r", b"two", of=Writer("mine", 3)) == 0, "and it goes on at 0"
    assert state.append_log("unknown", b"x", of=Writer("mine", 0)) == 0
    assert state.log_size("unknown") == 0


def test_only_the_holder_adds_metrics_and_only_at_their_end(state: StateStore) -> None:
    state.add_run(next_of(a_run("r"), claim_id="mine"))
    points = [MetricPoint(name="a", value=v, at=DAY) for v in (1, 2, 3)]
    assert state.append_metrics("r", points[:2], of=Writer("mine", 0)) == 2
    assert state.append_metrics("r", points[:2], of=Writer("mine", 0)) == 2
    assert state.append_metrics("r", points, of=Writer("another", 2)) == 2
    assert state.append_metrics("r", points[2:], of=Writer("mine", 2)) == 3
    assert state.read_metrics("r") == points


def test_nothing_is_added_to_a_run_that_ended(state: StateStore) -> None:
    held = next_of(a_run("r"), claim_id="mine", status=RunStatus.RUNNING)
    state.add_run(held)
    state.replace_run(next_of(held, status=RunStatus.FAILED))
    assert state.append_log("r", b"late", of=Writer("mine", 0)) == 0
    assert state.append_metrics("r", [MetricPoint(name="a", value=1, at=DAY)], of=Writer("mine", 0)) == 0
    assert state.log_size("r") == 0


def test_how_far_the_filling_is(state: StateStore) -> None:
    assert state.restoring() is None
    state.note_restoring(Restoring(20, 300))
    assert state.restoring() == Restoring(20, 300)
    state.note_restoring(None)
    assert state.restoring() is None


def test_every_run_id(state: StateStore) -> None:
    for run in (a_run("a"), a_run("b")):
        state.add_run(run)
    assert state.run_ids() == {"a", "b"}


def test_a_lease_lasts_as_long_as_it_was_given(state: StateStore) -> None:
    first, second = Lease("run-1", "1-a"), Lease("run-2", "3-b")
    state.renew_leases([first, second], 60)
    state.renew_leases([second], -5)
    state.renew_leases([], 60)
    left = state.list_leases()
    assert 55 < left[first].seconds_left <= 60
    assert -10 < left[second].seconds_left < 0
    state.renew_leases([first], 60)
    assert state.list_leases()[first].ends != left[first].ends
    assert state.list_leases()[second].ends == left[second].ends
    state.drop_lease(first)
    state.drop_lease(first)
    assert set(state.list_leases()) == {second}


def test_one_leads_until_its_time_is_over(state: StateStore) -> None:
    assert state.leader() is None
    assert state.lead("a", 60)
    assert state.leader() == "a"
    assert state.lead("a", 0.05)
    eventually(lambda: state.lead("b", 60), seconds=5)
    assert not state.lead("a", 60)


def test_an_empty_store_begins_one_epoch(state: StateStore) -> None:
    began = state.epoch()
    assert began
    assert state.epoch() == began


def test_the_load_of_pools_follows_their_runs(state: StateStore) -> None:
    first, second = a_run("a", 1), a_run("b", 2)
    other = msgspec.structs.replace(a_run("c", 3), pool="big")
    for run in (second, first, other):
        state.add_run(run)
    assert state.pool_load() == {
        "default": PoolLoad(2, 0, first.created_at.timestamp()),
        "big": PoolLoad(1, 0, other.created_at.timestamp()),
    }
    state.replace_run(next_of(first, status=RunStatus.RUNNING))
    state.replace_run(next_of(other, status=RunStatus.CANCELED))
    assert state.pool_load() == {
        "default": PoolLoad(1, 1, second.created_at.timestamp()),
        "big": PoolLoad(0, 0, None),
    }


def test_the_size_of_a_log(state: StateStore) -> None:
    assert state.log_size("r") == 0
    state.append_log("r", "ö\n".encode())
    assert state.log_size("r") == 3
