"""Rules of runs, nearly all without any server: submitting, claiming, ending, canceling, restoring."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from fitq import (
    admission,
    attempts,
    claims,
    final_records,
    kept_snapshots,
    pools,
    restoring,
    runs,
    submission,
)
from fitq.attempts import Fenced
from fitq.backend import Backend, open_backend
from fitq.dashboard.run_times import waited_seconds
from fitq.errors import Conflict, FitqError, InvalidParameters, InvalidRequest, NotFound, Unavailable
from fitq.final_records import LOG_PATH
from fitq.queue import NullQueue
from fitq.records import (
    TRANSITIONS,
    ArtifactRecord,
    FinalRecord,
    FunctionRecord,
    MetricPoint,
    Parameter,
    PoolSettings,
    Resources,
    RunRecord,
    RunRequest,
    RunStatus,
    WorkerRecord,
    from_json,
    now,
    to_json,
)
from fitq.snapshots import pack
from fitq.store.memory import MemoryObjects, MemoryState

IRIS = FunctionRecord(
    name="iris",
    pool="default",
    parameters=[Parameter(name="penalty", type="float", required=False, default=1.0)],
)


@pytest.fixture
def backend(memory_backend: Backend) -> Backend:
    memory_backend.state.publish_functions("default", [IRIS])
    return memory_backend


def sent(backend: Backend) -> list[tuple[str, str, str]]:
    assert isinstance(backend.queue, NullQueue)
    return backend.queue.sent


def snapshot(backend: Backend, folder: Path) -> str:
    (folder / "train.py").write_text("print(1)")
    data = pack(folder).data
    return kept_snapshots.keep_snapshot(backend, io.BytesIO(data), max_bytes=10**6, max_files=10)


def test_an_accepted_run_is_in_both_stores_and_on_the_queue(backend: Backend) -> None:
    run = submission.submit(backend, RunRequest(function="iris", parameters={"penalty": 2}, experiment="e"))
    assert run.status is RunStatus.QUEUED
    assert run.parameters == {"penalty": 2.0}
    kept = backend.objects.get(backend.keys.open_run(run.id))
    assert kept is not None
    assert from_json(kept, RunRecord) == run == backend.state.get_run(run.id)
    assert sent(backend) == [("default", "iris", run.id)]


def test_a_script_runs_as_run_script(backend: Backend, tmp_path: Path) -> None:
    sha256 = snapshot(backend, tmp_path)
    run = submission.submit(
        backend, RunRequest(snapshot=sha256, script="train.py", arguments=["--penalty", 1.0], pool="cpu")
    )
    assert sent(backend) == [("cpu", "run_script", run.id)]
    assert run.arguments == ["--penalty", "1.0"]


def test_a_run_of_a_pool_without_workers_says_what_it_waits_for(backend: Backend) -> None:
    alone = submission.submit(backend, RunRequest(function="iris"))
    assert (
        alone.timeline[0].reason == "no worker in pool default; it gets one so: FITQ_POOL=default fitq worker"
    )
    backend.state.report_worker(
        WorkerRecord(id="w", pool="default", slots=1, seen_at=now(), started_at=now())
    )
    assert submission.submit(backend, RunRequest(function="iris")).timeline[0].reason == ""


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (RunRequest(), InvalidRequest, "exactly one of function, script or command"),
        (RunRequest(function="iris", script="x"), InvalidRequest, "exactly one"),
        (RunRequest(function="irs"), NotFound, "Did you mean 'iris'?"),
        (RunRequest(function="iris", pool="gpu"), NotFound, "It runs in pool 'default'"),
        (RunRequest(function="iris", parameters={"penlty": 1}), InvalidParameters, "penlty"),
        (RunRequest(function="iris", snapshot="0" * 64), InvalidRequest, "never published"),
        (RunRequest(function="iris", arguments=["a"]), InvalidRequest, "parameters, not arguments"),
        (RunRequest(function="iris", experiment="../x"), InvalidRequest, "experiment name"),
        (RunRequest(function="iris", timeout_seconds=0), InvalidRequest, "timeout_seconds"),
        (RunRequest(function="iris", max_attempts=0), InvalidRequest, "max_attempts"),
        (RunRequest(function="iris", inputs={"a": "b"}), NotFound, "no data 'b'"),
        (RunRequest(function="iris", inputs={"a-b": "b"}), InvalidRequest, "input name"),
        (
            RunRequest(function="iris", environment_variables={"FITQ_TOKEN": "x"}),
            InvalidRequest,
            "FITQ_TOKEN",
        ),
        (
            RunRequest(function="iris", environment_variables={"a=b": "x"}),
            InvalidRequest,
            "environment variable",
        ),
        (RunRequest(function="iris", environment_variables={"a": "\0"}), InvalidRequest, "NUL"),
        (RunRequest(function="iris", resources=Resources(cpus=0)), InvalidRequest, "cpus"),
        (RunRequest(function="iris", resources=Resources(memory_bytes=-1)), InvalidRequest, "memory_bytes"),
        (RunRequest(script="train.py", arguments=["a\0b"]), InvalidRequest, "NUL"),
        (RunRequest(script="train.py", arguments=["ä" * 60_000]), InvalidRequest, "100.0 KiB in all"),
        (RunRequest(command="ls\0"), InvalidRequest, "NUL"),
        (RunRequest(script="train.py"), InvalidRequest, "needs a snapshot"),
        (RunRequest(script="train.py", snapshot="../x"), InvalidRequest, "snapshot name"),
        (RunRequest(script="train.py", snapshot="0" * 64), NotFound, "no snapshot"),
        (RunRequest(command="ls", snapshot="0" * 64, parameters={"a": 1}), InvalidRequest, "no parameters"),
    ],
)
def test_what_may_not_run_is_refused_before_anything_is_kept(
    backend: Backend, request_: RunRequest, error: type[FitqError], words: str
) -> None:
    with pytest.raises(error) as caught:
        submission.submit(backend, request_)
    assert words in str(caught.value)
    assert sent(backend) == []
    assert backend.state.count_runs() == 0
    assert list(backend.objects.list("")) == []


def test_a_misspelt_script_names_the_files_that_were_sent(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"Did you mean 'train.py'\?") as caught:
        submission.submit(backend, RunRequest(snapshot=snapshot(backend, tmp_path), script="trian.py"))
    assert caught.value.data["files"] == ["train.py"]


def test_a_function_whose_file_is_broken_says_so(backend: Backend) -> None:
    backend.state.publish_functions(
        "default", [FunctionRecord(name="bad", pool="default", file="bad.py", error="SyntaxError: x")]
    )
    with pytest.raises(InvalidRequest, match=r"bad\.py does not import: SyntaxError"):
        submission.submit(backend, RunRequest(function="bad"))


def test_the_same_key_is_the_same_run(backend: Backend) -> None:
    request = RunRequest(function="iris")
    first = submission.submit(backend, request, idempotency_key="k")
    again = submission.submit(backend, request, idempotency_key="k")
    other = submission.submit(backend, request, idempotency_key="k2")
    assert first.id == again.id != other.id
    assert len(sent(backend)) == 2
    with pytest.raises(Conflict, match="another request"):
        submission.submit(backend, RunRequest(function="iris", experiment="x"), idempotency_key="k")


class _Away(MemoryState):
    def add_run(self, run: RunRecord) -> bool:
        raise Unavailable("Redis does not answer")


def test_a_refused_submit_leaves_no_accepted_run_behind() -> None:
    state = _Away()
    state.publish_functions("default", [IRIS])
    backend = Backend("default", state, MemoryObjects(), NullQueue())
    with pytest.raises(Unavailable):
        submission.submit(backend, RunRequest(function="iris"))
    assert list(backend.objects.list("")) == []


class _Mute(NullQueue):
    def send(self, *, pool: str, actor: str, run_id: str) -> None:
        raise Unavailable("Redis does not answer")


def test_a_run_that_both_stores_have_is_accepted_though_its_message_was_not_sent() -> None:
    """It will run, so the caller must not hear that it was refused and submit it again."""
    state = MemoryState()
    state.publish_functions("default", [IRIS])
    backend = Backend("default", state, MemoryObjects(), _Mute())
    run = submission.submit(backend, RunRequest(function="iris"))
    assert runs.find(backend, run.id).status is RunStatus.QUEUED
    assert backend.objects.get(backend.keys.open_run(run.id)) is not None


# --- attempts -----------------------------------------------------------------------------------


@pytest.fixture
def queued(backend: Backend) -> RunRecord:
    return submission.submit(backend, RunRequest(function="iris"))


def held(backend: Backend, run: RunRecord) -> RunRecord:
    claimed = claims.claim(backend, run.id, "w1")
    assert claimed is not None
    return claimed


def running(backend: Backend, run: RunRecord) -> RunRecord:
    return attempts.change(backend, held(backend, run), lambda r: attempts.step(r, RunStatus.RUNNING))


def finalizing(backend: Backend, run: RunRecord) -> RunRecord:
    run = running(backend, run)
    return attempts.change(backend, run, lambda r: attempts.step(r, RunStatus.FINALIZING))


def test_a_run_is_claimed_once(backend: Backend, queued: RunRecord) -> None:
    claimed = claims.claim(backend, queued.id, "w1")
    assert claimed is not None
    assert (claimed.attempt, claimed.worker, claimed.status) == (1, "w1", RunStatus.PREPARING)
    assert claims.claim(backend, queued.id, "w2") is None
    assert claims.claim(backend, "nobody-1", "w2") is None


def test_only_steps_of_the_table_are_taken(queued: RunRecord) -> None:
    for status in RunStatus:
        if status in TRANSITIONS[queued.status]:
            assert attempts.step(queued, status).timeline[-1].status is status
        else:
            with pytest.raises(Conflict):
                attempts.step(queued, status)


def test_an_older_attempt_is_fenced(backend: Backend, queued: RunRecord) -> None:
    first = held(backend, queued)
    claims.hand_back(backend, first, "the worker was stopped")
    second = held(backend, queued)
    assert second.attempt == 2
    with pytest.raises(Fenced):
        attempts.change(backend, first, lambda r: r)
    with pytest.raises(Fenced):
        final_records.finish(backend, first, RunStatus.FAILED)
    assert backend.objects.get(backend.keys.final(queued.id)) is None


def test_handing_back_queues_the_run_again(backend: Backend, queued: RunRecord) -> None:
    claims.hand_back(backend, running(backend, queued), "the worker was stopped")
    again = runs.find(backend, queued.id)
    assert again.status is RunStatus.QUEUED
    assert again.timeline[-1].reason == "the worker was stopped"
    assert len(sent(backend)) == 2


def test_what_a_run_waited_is_all_of_its_time_in_the_queue_and_nothing_else(
    backend: Backend, queued: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(seconds: float) -> None:
        for module in (attempts, claims):
            monkeypatch.setattr(module, "now", lambda: queued.timeline[0].at + timedelta(seconds=seconds))

    later(5)
    first = held(backend, queued)
    later(100)
    claims.hand_back(backend, first, "the worker was stopped")
    later(102)
    second = held(backend, queued)
    assert (first.usage.queue_seconds, second.usage.queue_seconds) == (5.0, 7.0)
    assert waited_seconds(second) == 7.0, "pages say the same"


def test_a_run_ends_once_and_is_read_from_the_object_store(backend: Backend, queued: RunRecord) -> None:
    run = finalizing(backend, queued)
    artifact = ArtifactRecord(path="outputs/m", size_bytes=1, sha256="0" * 64)
    points = [MetricPoint(name="a", value=1, at=now()), MetricPoint(name="a", value=2, at=now())]
    ended = final_records.finish(backend, run, RunStatus.COMPLETED, artifacts=[artifact], metrics=points)
    assert ended.status is RunStatus.COMPLETED
    found = runs.find(backend, run.id)
    assert found.status is RunStatus.COMPLETED
    assert runs.artifacts(backend, found) == [artifact]
    assert [p.value for p in runs.metrics(backend, found)["a"]] == [1, 2]
    assert backend.objects.get(backend.keys.open_run(run.id)) is None
    assert final_records.finish(backend, run, RunStatus.FAILED) == ended, "the first end stays"


def test_a_final_record_that_is_there_is_adopted(backend: Backend, queued: RunRecord) -> None:
    run = finalizing(backend, queued)
    ended = final_records.finish(backend, run, RunStatus.COMPLETED)
    # Redis forgets that it ended; whoever ends it again meets the record in the object store.
    state = MemoryState()
    state.add_run(run)
    forgetful = Backend("default", state, backend.objects, NullQueue())
    assert final_records.finish(forgetful, run, RunStatus.FAILED).status is RunStatus.COMPLETED
    assert runs.find(forgetful, run.id).status is ended.status


def test_whoever_died_in_the_middle_of_an_end_leaves_nothing_behind(
    backend: Backend, queued: RunRecord
) -> None:
    run = finalizing(backend, queued)
    ended = final_records.finish(backend, run, RunStatus.COMPLETED)
    backend.objects.put(backend.keys.open_run(run.id), to_json(queued))  # not deleted yet
    backend.state.append_log(run.id, b"not dropped yet")
    assert restoring.restore_open(backend) == 0
    assert runs.find(backend, run.id) == ended
    assert backend.objects.get(backend.keys.open_run(run.id)) is None
    assert backend.state.log_size(run.id) == 0


def test_a_holder_goes_on_although_redis_lost_its_run(backend: Backend, queued: RunRecord) -> None:
    run = finalizing(backend, queued)
    empty = Backend("default", MemoryState(), backend.objects, NullQueue())
    ended = final_records.finish(empty, run, RunStatus.COMPLETED)
    assert runs.find(empty, run.id) == ended
    assert [e.status for e in ended.timeline].count(RunStatus.QUEUED) == 1


def test_a_step_whose_answer_was_lost_may_be_taken_again(backend: Backend, queued: RunRecord) -> None:
    run = running(backend, queued)
    first = attempts.advance(backend, run, RunStatus.FINALIZING)
    assert attempts.advance(backend, run, RunStatus.FINALIZING) == first


def test_a_claim_whose_answer_was_lost_may_be_made_again(backend: Backend, queued: RunRecord) -> None:
    mine = attempts.new_claim_id()
    first = claims.claim(backend, queued.id, "w", claim_id=mine)
    assert first is not None
    assert claims.claim(backend, queued.id, "w", claim_id=mine) == first
    assert claims.claim(backend, queued.id, "w") is None, "another message finds it taken"


class _Forgetful(MemoryState):
    """Applies a change and loses the answer, when it is told to."""

    loses_answer = False

    def replace_run(self, run: RunRecord, *, claimed_as: str = "") -> bool:
        is_replaced = super().replace_run(run, claimed_as=claimed_as)
        if self.loses_answer:
            self.loses_answer = False
            raise Unavailable("Redis does not answer")
        return is_replaced


@pytest.fixture
def forgetful() -> tuple[Backend, _Forgetful]:
    state = _Forgetful()
    state.publish_functions("default", [IRIS])
    return Backend("default", state, MemoryObjects(), NullQueue()), state


def test_a_hand_back_whose_answer_was_lost_may_be_made_again(forgetful: tuple[Backend, _Forgetful]) -> None:
    backend, state = forgetful
    run = running(backend, submission.submit(backend, RunRequest(function="iris")))

    def give_back() -> RunRecord:
        return claims.hand_back(backend, run, "no room")

    state.loses_answer = True
    with pytest.raises(Unavailable):
        give_back()
    assert len(sent(backend)) == 1
    given_back = give_back()
    assert given_back == runs.find(backend, run.id)
    assert (given_back.status, given_back.losses) == (RunStatus.QUEUED, 0)
    assert len(sent(backend)) == 2, "a worker hears of it at once"
    assert backend.state.list_leases() == {}
    held(backend, run)
    with pytest.raises(Fenced):
        give_back()


def test_a_hand_back_of_somebody_else_is_not_taken_for_our_own(backend: Backend, queued: RunRecord) -> None:
    run = running(backend, queued)
    claims.lose(backend, run)
    with pytest.raises(Fenced):
        claims.hand_back(backend, run, "the worker was stopped")


def test_files_of_attempts_never_meet_although_redis_lost_count(backend: Backend, queued: RunRecord) -> None:
    first = claims.claim(backend, queued.id, "w")
    empty = Backend("default", MemoryState(), backend.objects, NullQueue())
    assert restoring.restore_open(empty) == 1
    again = claims.claim(empty, queued.id, "w")
    assert first is not None
    assert again is not None
    assert first.attempt == again.attempt == 1
    assert backend.keys.attempt_file(first, "outputs/m") != backend.keys.attempt_file(again, "outputs/m")


# --- after a loss of Redis --------------------------------------------------------------------------


def emptied(backend: Backend) -> Backend:
    """The same platform at the moment after FLUSHALL; its workers have reported again."""
    empty = Backend("default", MemoryState(), backend.objects, NullQueue())
    empty.state.publish_functions("default", [IRIS])
    return empty


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_key_gives_the_same_run_although_redis_lost_it(backend: Backend, is_ended: bool) -> None:
    def ask(platform: Backend) -> RunRecord:
        return submission.submit(platform, RunRequest(function="iris"), idempotency_key="k")

    first = ask(backend)
    if is_ended:
        final_records.finish(backend, finalizing(backend, first), RunStatus.COMPLETED)
    empty = emptied(backend)
    again = ask(empty)
    assert again.id == first.id
    assert again.status is (RunStatus.COMPLETED if is_ended else RunStatus.QUEUED)
    with pytest.raises(Conflict):
        submission.submit(
            empty, RunRequest(function="iris", parameters={"penalty": 2.0}), idempotency_key="k"
        )


def test_a_run_is_found_although_redis_lost_it(backend: Backend, queued: RunRecord) -> None:
    other = submission.submit(backend, RunRequest(function="iris"))
    ended = final_records.finish(backend, finalizing(backend, other), RunStatus.COMPLETED)
    empty = emptied(backend)
    assert runs.find(empty, ended.id) == ended
    assert runs.find(empty, queued.id).status is RunStatus.QUEUED
    with pytest.raises(Unavailable):  # a worker may have it
        runs.cancel(empty, queued.id)


def test_a_function_is_not_unknown_before_a_worker_has_spoken(backend: Backend) -> None:
    empty = Backend("default", MemoryState(), backend.objects, NullQueue())
    with pytest.raises(Unavailable):
        submission.submit(empty, RunRequest(function="iris"))
    empty.state.note_whole()
    with pytest.raises(NotFound):
        submission.submit(empty, RunRequest(function="iris"))


def test_a_repeated_request_is_in_the_object_store_again(backend: Backend) -> None:
    """Its first answer was 503, and took the marker back, although Redis did have it."""
    first = submission.submit(backend, RunRequest(function="iris"), idempotency_key="k")
    backend.objects.delete(backend.keys.open_run(first.id))
    assert submission.submit(backend, RunRequest(function="iris"), idempotency_key="k") == first
    assert backend.objects.get(backend.keys.open_run(first.id))


def test_a_slow_repetition_leaves_no_marker_of_a_run_that_is_over(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request twice; the second saw no run yet, and went on when the first had ended."""
    request = RunRequest(function="iris")
    first = submission.submit(backend, request, idempotency_key="k")
    ended = final_records.finish(backend, finalizing(backend, first), RunStatus.COMPLETED)
    monkeypatch.setattr(submission, "_accepted_before", lambda *_: None)
    assert submission.submit(backend, request, idempotency_key="k") == ended
    assert backend.objects.get(backend.keys.open_run(first.id)) is None


def test_the_same_folder_is_kept_once(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    data = pack(tmp_path).data

    def keep() -> str:
        return kept_snapshots.keep_snapshot(backend, io.BytesIO(data), max_bytes=10**6, max_files=10)

    first = keep()
    monkeypatch.setattr(backend.objects, "put", lambda *_: pytest.fail("it was sent again"))
    assert keep() == first


def test_two_runs_never_share_an_id(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter(["iris-aaaaaaaa", "iris-aaaaaaaa", "iris-bbbbbbbb"])
    for module in (admission, submission):
        monkeypatch.setattr(module, "new_run_id", lambda _: next(ids))
    first, second = (submission.submit(backend, RunRequest(function="iris")) for _ in range(2))
    assert (first.id, second.id) == ("iris-aaaaaaaa", "iris-bbbbbbbb")


# --- cancel, read, restore ----------------------------------------------------------------------


def test_a_queued_run_is_canceled_at_once(backend: Backend, queued: RunRecord) -> None:
    assert runs.cancel(backend, queued.id).status is RunStatus.CANCELED
    assert runs.cancel(backend, queued.id).status is RunStatus.CANCELED
    assert claims.claim(backend, queued.id, "w1") is None
    assert backend.objects.get(backend.keys.final(queued.id)) is not None


def test_a_cancel_that_meets_a_claim_still_ends_the_run_as_canceled(
    backend: Backend, queued: RunRecord
) -> None:
    """The worker took it between our look and our write: the first final record is the truth."""
    taken = held(backend, queued)
    assert final_records.cancel_queued(backend, queued) is None
    run = attempts.change(backend, taken, lambda r: attempts.step(r, RunStatus.RUNNING))
    run = attempts.change(backend, run, lambda r: attempts.step(r, RunStatus.FINALIZING))
    assert final_records.finish(backend, run, RunStatus.COMPLETED).status is RunStatus.CANCELED
    assert runs.find(backend, queued.id).status is RunStatus.CANCELED


def test_a_canceled_run_is_not_handed_back(backend: Backend, queued: RunRecord) -> None:
    """Its worker was told to stop in the same moment, or lost a store, or could not confine it."""
    run = running(backend, queued)
    backend.state.append_log(run.id, b"so far\n")
    backend.state.append_metrics(run.id, [MetricPoint(name="a", value=1, at=now())])
    runs.cancel(backend, queued.id)
    ended = claims.hand_back(backend, run, "the worker was stopped")
    assert runs.find(backend, queued.id) == ended
    assert (ended.status, ended.timeline[-1].reason) == (
        RunStatus.CANCELED,
        "Canceled; the worker was stopped.",
    )
    assert runs.read_log(backend, queued.id).data == b"so far\n"
    assert list(runs.metrics(backend, ended)) == ["a"]
    assert len(sent(backend)) == 1
    assert backend.objects.get(backend.keys.open_run(run.id)) is None
    assert backend.state.list_leases() == {}
    with pytest.raises(Fenced):
        claims.hand_back(backend, run, "the worker was stopped")


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_a_canceled_run_of_a_lost_worker_is_canceled_also_if_whoever_noticed_had_not_heard_of_it(
    backend: Backend, max_attempts: int
) -> None:
    run = running(backend, submission.submit(backend, RunRequest(function="iris", max_attempts=max_attempts)))
    runs.cancel(backend, run.id)
    assert claims.lose(backend, run).status is RunStatus.CANCELED


def test_an_attempt_has_gone_on_when_its_run_is_known_and_not_in_it(
    backend: Backend, queued: RunRecord
) -> None:
    first = running(backend, queued)
    assert not attempts.has_gone_on(backend, first.id, first.attempt_id)
    claims.lose(backend, first)
    assert attempts.has_gone_on(backend, first.id, first.attempt_id)
    assert not attempts.has_gone_on(backend, "nobody-1", first.attempt_id), "it may be of another platform"


def asked_to_cancel(backend: Backend, queued: RunRecord) -> RunRecord:
    """Queued all the same, as workers of an older version left it."""
    asked = msgspec.structs.replace(queued, cancel_requested=True, sequence=queued.sequence + 1)
    assert backend.state.replace_run(asked)
    return asked


def test_a_queued_run_that_was_asked_to_stop_is_not_started(backend: Backend, queued: RunRecord) -> None:
    asked_to_cancel(backend, queued)
    assert claims.claim(backend, queued.id, "w1") is None
    assert runs.find(backend, queued.id).status is RunStatus.CANCELED


def test_a_queued_run_that_was_asked_to_stop_can_be_canceled(backend: Backend, queued: RunRecord) -> None:
    asked_to_cancel(backend, queued)
    assert runs.cancel(backend, queued.id).status is RunStatus.CANCELED


def test_a_canceled_run_keeps_the_log_of_its_last_attempt(backend: Backend, queued: RunRecord) -> None:
    first = running(backend, queued)
    backend.state.append_log(first.id, b"so far\n")
    claims.hand_back(backend, first, "the worker was stopped")
    ended = runs.cancel(backend, queued.id)
    backend.objects.put(backend.keys.attempt_file(first, LOG_PATH), b"uploaded late by the first")
    assert runs.read_log(backend, ended.id).data == b"so far\n"
    assert [a.path for a in runs.artifacts(backend, ended)] == [LOG_PATH]


def test_a_canceled_run_stays_canceled_when_redis_is_lost(backend: Backend, queued: RunRecord) -> None:
    runs.cancel(backend, queued.id)
    empty = Backend("default", MemoryState(), backend.objects, NullQueue())
    assert (restoring.restore_ended(empty), restoring.restore_open(empty)) == (1, 0)
    assert runs.find(empty, queued.id).status is RunStatus.CANCELED


def test_a_running_run_is_asked_to_stop(backend: Backend, queued: RunRecord) -> None:
    running(backend, queued)
    assert runs.cancel(backend, queued.id).cancel_requested
    assert runs.cancel(backend, queued.id).cancel_requested


@pytest.fixture(params=["memory", "servers"])
def either(request: pytest.FixtureRequest) -> Backend:
    """In memory, and on real stores."""
    if request.param == "memory":
        return request.getfixturevalue("backend")  # type: ignore[no-any-return]
    real = open_backend(request.getfixturevalue("settings"))
    real.objects.ensure_bucket()
    real.state.publish_functions("default", [IRIS])
    return real


def test_a_queued_run_that_the_object_store_knows_to_have_ended_is_not_canceled(either: Backend) -> None:
    """An attempt that was overtaken put its end, and died before Redis heard of it."""
    backend = either
    queued = submission.submit(backend, RunRequest(function="iris"))
    first = finalizing(backend, queued)
    claims.lose(backend, first)
    put = FinalRecord(run=attempts.step(first, RunStatus.COMPLETED), nonce="of the first")
    backend.objects.put(backend.keys.final(queued.id), to_json(put))
    with pytest.raises(Conflict, match="already Completed"):
        runs.cancel(backend, queued.id)
    found = backend.state.get_run(queued.id)
    assert found is not None
    assert (found.status, found.attempt_id) == (RunStatus.COMPLETED, first.attempt_id)
    assert backend.objects.get(backend.keys.open_run(queued.id)) is None


def test_a_completed_run_cannot_be_canceled(backend: Backend, queued: RunRecord) -> None:
    final_records.finish(backend, finalizing(backend, queued), RunStatus.COMPLETED)
    with pytest.raises(Conflict, match="already Completed"):
        runs.cancel(backend, queued.id)


def test_an_unknown_run_names_near_ones(backend: Backend, queued: RunRecord) -> None:
    with pytest.raises(NotFound, match="Did you mean"):
        runs.find(backend, queued.id[:-1])


def test_paging_shows_each_run_once(backend: Backend) -> None:
    tags = [{"team": "a"}, {"team": "b"}]
    made = [submission.submit(backend, RunRequest(function="iris", tags=tags[n % 2])).id for n in range(7)]
    seen, cursor = [], None
    while True:
        page = runs.page(backend, limit=3, cursor=cursor)
        seen += [r.id for r in page.runs]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    tagged = runs.page(backend, tags={"team": "a"}, newest_first=False)
    assert [r.id for r in tagged.runs] == made[::2]
    with pytest.raises(InvalidRequest, match="cursor"):
        runs.page(backend, cursor="§")


def test_after_redis_lost_everything_runs_are_restored(backend: Backend) -> None:
    done = submission.submit(backend, RunRequest(function="iris"))
    final_records.finish(backend, finalizing(backend, done), RunStatus.COMPLETED)
    waiting = submission.submit(backend, RunRequest(function="iris"), idempotency_key="k")
    empty = Backend("default", MemoryState(), backend.objects, NullQueue())
    empty.state.publish_functions("default", [IRIS])
    assert (restoring.restore_ended(empty), restoring.restore_open(empty)) == (1, 1)
    assert runs.find(empty, done.id).status is RunStatus.COMPLETED
    assert runs.find(empty, waiting.id).status is RunStatus.QUEUED
    assert sent(empty) == [("default", "iris", waiting.id)]
    assert submission.submit(empty, RunRequest(function="iris"), idempotency_key="k").id == waiting.id
    assert (restoring.restore_ended(empty), restoring.restore_open(empty)) == (0, 0)


def test_pools_count_what_waits_and_who_works(backend: Backend, queued: RunRecord) -> None:
    backend.state.report_worker(
        WorkerRecord(id="w", pool="default", slots=1, seen_at=now(), started_at=now())
    )
    (pool,) = pools.list_pools(backend)
    assert (pool.name, pool.queued, pool.running, pool.workers) == ("default", 1, 0, 1)
    running(backend, queued)
    assert pools.find_pool(backend, "default").running == 1
    assert pools.configure(backend, "big", PoolSettings(max_workers=3)).max_workers == 3
    with pytest.raises(InvalidRequest):
        pools.configure(backend, "big", PoolSettings(min_workers=4, max_workers=3))
    with pytest.raises(InvalidRequest, match="10000"):
        pools.configure(backend, "big", PoolSettings(min_workers=1_000_000))
    with pytest.raises(NotFound, match="Did you mean 'default'"):
        pools.find_pool(backend, "defalt")


def test_a_record_is_the_same_after_json(queued: RunRecord) -> None:
    assert from_json(to_json(queued), RunRecord) == queued


def test_a_field_of_a_pool_that_a_newer_program_kept_is_left_alone(memory_backend: Backend) -> None:
    key = memory_backend.keys.pool("cpu")
    memory_backend.objects.put(key, b'{"max_workers": 3, "favourite_colour": "green"}')
    kept, _ = pools.kept_settings(memory_backend, "cpu")
    assert kept == PoolSettings(max_workers=3)
