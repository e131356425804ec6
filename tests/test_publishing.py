"""Rules of published functions, without any server."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from fitq import kept_snapshots, pools, publishing, submission
from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound, Outdated, Unavailable
from fitq.records import EnvironmentRecord, FunctionRecord, FunctionRequest, RunRequest
from fitq.revisions import ABSENT
from fitq.scheduler.care import Care
from fitq.snapshots import pack


@pytest.fixture
def codes(memory_backend: Backend, tmp_path: Path) -> list[str]:
    """Two uploaded folders."""
    kept = []
    for n in (1, 2):
        (tmp_path / "iris.py").write_text(f"# version {n}")
        data = io.BytesIO(pack(tmp_path).data)
        kept.append(kept_snapshots.keep_snapshot(memory_backend, data, max_bytes=10**6, max_files=9))
    return kept


def publish(backend: Backend, snapshot: str, expected: str | None = None) -> None:
    publishing.publish(backend, "iris", FunctionRequest(snapshot=snapshot), expected=expected)


def listed(backend: Backend, snapshot: str) -> None:
    """As a worker does that has looked at the folder."""
    record = FunctionRecord(name="iris", pool="default", snapshot=snapshot)
    backend.state.publish_functions("default", [record])


def test_versions_are_kept_newest_first_and_each_once(memory_backend: Backend, codes: list[str]) -> None:
    for snapshot in (codes[0], codes[1], codes[0]):
        publish(memory_backend, snapshot)
    code, _ = publishing.find_code(memory_backend, "iris")
    assert [v.snapshot for v in code.versions] == [codes[0], codes[1]]
    assert code.snapshot == codes[0]


def test_only_an_uploaded_folder_is_published_and_only_over_what_was_read(
    memory_backend: Backend, codes: list[str]
) -> None:
    with pytest.raises(NotFound, match="no snapshot"):
        publish(memory_backend, "0" * 64)
    with pytest.raises(NotFound, match="No function 'iris' is published"):
        publishing.find_code(memory_backend, "iris")
    publish(memory_backend, codes[0], expected=ABSENT)
    with pytest.raises(Outdated):
        publish(memory_backend, codes[1], expected=ABSENT)
    with pytest.raises(InvalidRequest):
        publishing.publish(memory_backend, "run_script", FunctionRequest(snapshot=codes[0]))


def test_a_pool_needs_a_worker_until_somebody_has_looked_at_the_code(
    memory_backend: Backend, codes: list[str]
) -> None:
    publish(memory_backend, codes[0])
    assert pools.find_pool(memory_backend, "default").demand == 1
    listed(memory_backend, codes[0])
    assert pools.find_pool(memory_backend, "default").demand == 0
    publish(memory_backend, codes[1])
    assert pools.find_pool(memory_backend, "default").demand == 1


def test_a_run_carries_the_code_it_was_submitted_with(memory_backend: Backend, codes: list[str]) -> None:
    publish(memory_backend, codes[0])
    listed(memory_backend, codes[0])
    first = submission.submit(memory_backend, RunRequest(function="iris"))
    publish(memory_backend, codes[1])
    listed(memory_backend, codes[1])
    again = submission.submit(memory_backend, RunRequest(function="iris", snapshot=first.snapshot))
    newer = submission.submit(memory_backend, RunRequest(function="iris"))
    assert [r.snapshot for r in (first, again, newer)] == [codes[0], codes[0], codes[1]]
    with pytest.raises(InvalidRequest, match="never published"):
        submission.submit(memory_backend, RunRequest(function="iris", snapshot="0" * 64))


def test_the_same_key_is_the_same_run_also_after_new_code(memory_backend: Backend, codes: list[str]) -> None:
    publish(memory_backend, codes[0])
    listed(memory_backend, codes[0])
    first = submission.submit(memory_backend, RunRequest(function="iris"), idempotency_key="k")
    publish(memory_backend, codes[1])
    listed(memory_backend, codes[1])
    assert submission.submit(memory_backend, RunRequest(function="iris"), idempotency_key="k").id == first.id


def test_published_code_outlives_redis_and_withdrawing_twice_is_fine(
    memory_backend: Backend, codes: list[str]
) -> None:
    publish(memory_backend, codes[0])
    memory_backend.state.drop_published("iris")  # as if Redis had lost its data
    Care(memory_backend, lease_seconds=15).restore_open()
    assert [c.snapshot for c in memory_backend.state.list_published()] == [codes[0]]
    publishing.withdraw(memory_backend, "iris")
    publishing.withdraw(memory_backend, "iris")
    assert memory_backend.state.list_published() == []


def test_a_run_carries_the_environment_it_was_submitted_with(
    memory_backend: Backend, codes: list[str]
) -> None:
    def published(*pip: str) -> EnvironmentRecord:
        request = FunctionRequest(snapshot=codes[0], environment={"name": "e", "pip": list(pip)})
        version = publishing.publish(memory_backend, "iris", request).current
        pool = pools.find_pool(memory_backend, "default")
        assert pool.demand == pool.queued + 1, "nobody has looked at it there"
        record = FunctionRecord(
            name="iris", pool="default", snapshot=codes[0], environment=version.environment
        )
        memory_backend.state.publish_functions("default", [record])
        return version.environment

    one = published("joblib")
    first = submission.submit(memory_backend, RunRequest(function="iris"))
    two = published("numpy")
    newer = submission.submit(memory_backend, RunRequest(function="iris"))
    again = submission.submit(
        memory_backend,
        RunRequest(function="iris", snapshot=first.snapshot, environment=first.environment.asked),
    )
    assert [r.environment for r in (first, newer, again)] == [one, two, one]
    other = RunRequest(function="iris", snapshot=codes[0], environment={"pip": ["scipy"]})
    with pytest.raises(InvalidRequest, match="never published in this environment"):
        submission.submit(memory_backend, other)
    with pytest.raises(InvalidRequest, match="runs in environment 'e', not in another environment"):
        submission.submit(memory_backend, RunRequest(function="iris", environment={"pip": ["joblib"]}))
    submission.submit(memory_backend, RunRequest(function="iris", environment={"pip": ["numpy"]}))


def test_a_function_that_no_worker_has_taken_over_yet_is_told_from_one_that_nobody_knows(
    memory_backend: Backend, codes: list[str]
) -> None:
    memory_backend.state.publish_functions("default", [FunctionRecord(name="other", pool="default")])
    publish(memory_backend, codes[0])
    with pytest.raises(Unavailable, match="no worker of pool 'default' has taken it over yet"):
        submission.submit(memory_backend, RunRequest(function="iris"))
    with pytest.raises(NotFound, match="No worker knows a function 'tulip'"):
        submission.submit(memory_backend, RunRequest(function="tulip"))


def test_a_specification_without_a_name_is_called_after_its_function(
    memory_backend: Backend, codes: list[str]
) -> None:
    request = FunctionRequest(snapshot=codes[0], environment={"pip": ["joblib"]})
    code = publishing.publish(memory_backend, "iris", request)
    assert (code.current.environment.name, code.environment) == ("iris", {"pip": ["joblib"]})


def test_workers_read_the_current_version_only(memory_backend: Backend, codes: list[str]) -> None:
    for snapshot in codes:
        publish(memory_backend, snapshot)
    (told,) = memory_backend.state.list_published()
    assert [v.snapshot for v in told.versions] == [codes[1]]
    Care(memory_backend, lease_seconds=15).restore_open()
    assert memory_backend.state.list_published() == [told]
