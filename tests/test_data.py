"""Data: sent in parts, versioned by content, shown to runs as read-only paths, fetched once per machine."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fitq import data, runs
from fitq.backend import Backend
from fitq.errors import FitqError, InvalidRequest, NotFound, TooLarge
from fitq.records import DataFile, DataRecord, DataRequest, RunStatus
from fitq.settings import Settings
from fitq.worker.inputs import Inputs
from tests.test_execute import Bench


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path) -> Bench:
    (tmp_path / "sources").mkdir()
    Path(settings.work_dir).mkdir()
    return Bench(backend, settings, tmp_path / "sources")


def sent(backend: Backend, name: str, *, is_folder: bool = True, **files: bytes) -> DataRecord:
    described = []
    for path, content in files.items():
        sha256 = hashlib.sha256(content).hexdigest()
        data.keep_part(backend, sha256, content)
        described.append(DataFile(path=path.replace("__", "/"), size_bytes=len(content), parts=[sha256]))
    return data.add(backend, DataRequest(name=name, files=described, is_folder=is_folder))


def test_versions_count_up_and_the_same_content_is_the_same_version(backend: Backend) -> None:
    assert sent(backend, "flowers", a=b"1", sub__b=b"2").id == "flowers:1"
    assert sent(backend, "flowers", a=b"1", sub__b=b"3").id == "flowers:2"
    assert sent(backend, "flowers", sub__b=b"2", a=b"1").id == "flowers:1"
    assert sent(backend, "flowers", a=b"1", is_folder=False).id == "flowers:3"
    assert data.resolve(backend, "flowers").version == 3
    assert data.resolve(backend, "flowers:2").version == 2
    assert data.names(backend) == ["flowers"]


def test_many_at_once_get_versions_without_gaps(backend: Backend) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: sent(backend, "d", a=b"%d" % (n // 2)).version, range(8)))
    assert set(made) == {1, 2, 3, 4}


def test_what_is_missing_is_told_before_and_after(backend: Backend) -> None:
    here, there = (hashlib.sha256(c).hexdigest() for c in (b"here", b"there"))
    data.keep_part(backend, here, b"here")
    assert data.missing_parts(backend, [here, there, there]) == [there]
    file = DataFile(path="x", size_bytes=9, parts=[here, there])
    with pytest.raises(NotFound) as refused:
        data.add(backend, DataRequest(name="d", files=[file]))
    assert refused.value.data["missing"] == [there]
    assert data.names(backend) == []


def one(path: str) -> DataFile:
    return DataFile(path=path, size_bytes=0, parts=[])


@pytest.mark.parametrize(
    "request_",
    [
        DataRequest(name="../x", files=[one("a")]),
        DataRequest(name="d", files=[]),
        DataRequest(name="d", files=[one("a"), one("b")]),
        DataRequest(name="d", files=[one("a"), one("a")], is_folder=True),
        DataRequest(name="d", files=[one("a"), one("a/b")], is_folder=True),
        *(DataRequest(name="d", files=[one(p)]) for p in ("../a", "/a", "a/../../b", "", "a\nb", "a\\b")),
        DataRequest(name="d", files=[DataFile(path="a", size_bytes=-1, parts=[])]),
        DataRequest(name="d", files=[DataFile(path="a", size_bytes=1, parts=["x"])]),
    ],
)
def test_what_is_no_data_is_refused(backend: Backend, request_: DataRequest) -> None:
    with pytest.raises(InvalidRequest):
        data.add(backend, request_)


def test_bytes_that_changed_on_the_way_are_not_kept(backend: Backend) -> None:
    with pytest.raises(InvalidRequest, match="SHA-256"):
        data.keep_part(backend, "0" * 64, b"x")
    with pytest.raises(TooLarge):
        data.keep_part(backend, "0" * 64, bytes(data.PART_BYTES + 1))


SCRIPT = """
import os, sys
from fitq.context import RunContext
run = RunContext.from_environment()
many = sorted(os.listdir(run.inputs["many"]))
print(open(sys.argv[1]).read(), open(os.environ["FITQ_INPUT_ONE"]).read(), many)
print(open(os.environ["SM_CHANNEL_MANY"] + "/sub/b").read(), os.listdir(os.environ["SM_CHANNEL_ONE"]))
print(os.stat(sys.argv[1]).st_mode & 0o222, os.stat(run.inputs["many"]).st_mode & 0o222)
"""


def test_a_run_finds_its_inputs_and_cannot_be_given_other_ones_later(bench: Bench) -> None:
    sent(bench.backend, "many", a=b"A", sub__b=b"B")
    sent(bench.backend, "one", is_folder=False, x=b"X")
    run = bench.submit(SCRIPT, "${{inputs.one}}", inputs={"one": "one", "many": "many:1"})
    sent(bench.backend, "one", is_folder=False, x=b"another")
    bench.executor.execute(run.id)
    assert bench.log(run) == "X X ['a', 'sub']\nB ['x']\n0 0\n"
    assert run.inputs == {"one": "one:1", "many": "many:1"}


def test_a_command_is_told_where_its_inputs_are(bench: Bench) -> None:
    sent(bench.backend, "one", is_folder=False, x=b"X")
    run = bench.run("cat ${{ inputs.one }}", as_command=True, inputs={"one": "one"})
    assert bench.log(run) == "X\n"
    with pytest.raises(InvalidRequest, match="no input 'two'"):
        bench.submit("pass", "--data=${{inputs.two}}", inputs={"one": "one"})


def test_inputs_that_do_not_exist_are_refused_at_once(bench: Bench) -> None:
    for inputs in ({"a": "nothing"}, {"a-b": "x"}, {"a": "x", "A": "x"}):
        with pytest.raises(FitqError):
            bench.submit("pass", inputs=inputs)


def test_content_that_is_gone_fails_the_run_with_the_reason(bench: Bench) -> None:
    record = sent(bench.backend, "one", is_folder=False, x=b"X")
    run = bench.submit("pass", inputs={"one": "one"})
    bench.backend.objects.delete(bench.backend.keys.data_part(record.files[0].parts[0]))
    bench.executor.execute(run.id)
    ended = bench.backend.state.get_run(run.id)
    assert ended is not None
    assert ended.status is RunStatus.FAILED
    assert ended.failure is not None
    assert "not in the object store any more" in ended.failure.message


def test_a_run_is_canceled_while_the_object_store_hangs_over_its_input(bench: Bench) -> None:
    sent(bench.backend, "one", is_folder=False, x=b"X")
    asked, goes_on, usual = threading.Event(), threading.Event(), bench.backend.objects.open

    def hanging(key: str) -> Iterator[bytes] | None:
        pieces = usual(key)
        return held(pieces) if pieces is not None and "data-parts" in key else pieces

    def held(pieces: Iterator[bytes]) -> Iterator[bytes]:
        asked.set()
        assert goes_on.wait(60)
        yield from pieces

    bench.backend.objects.open = hanging  # type: ignore[method-assign]  # waits, and does the same
    run, thread = bench.start(SCRIPT, "${{inputs.one}}", inputs={"one": "one"})
    assert asked.wait(30)
    assert runs.find(bench.backend, run.id).status is RunStatus.PREPARING
    runs.cancel(bench.backend, run.id)
    thread.join(20)
    ended = runs.find(bench.backend, run.id)
    assert ended.status is RunStatus.CANCELED
    assert not goes_on.is_set()
    assert list((bench.executor.work_dir / "inputs").glob("*/content")) == []

    goes_on.set()  # what was left to itself lets go, so that others may have it
    after = bench.run(
        "print(open(__import__('sys').argv[1]).read())", "${{inputs.one}}", inputs={"one": "one"}
    )
    assert bench.log(after) == "X\n"


def test_a_machine_fetches_once_also_when_many_ask_at_once(backend: Backend, tmp_path: Path) -> None:
    record = sent(backend, "d", a=b"A" * 100_000)
    asked = list[str]()
    open_part = backend.objects.open

    def counted(key: str) -> object:
        asked.extend([key] if "data-parts" in key else [])
        return open_part(key)

    backend.objects.open = counted  # type: ignore[method-assign,assignment]  # counts, and does the same

    def use(_: int) -> bytes:
        with Inputs(tmp_path / "inputs", 10**9).held(backend, {"x": record.id}) as found:
            return (found["x"].path / "a").read_bytes()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(use, range(16))) == {b"A" * 100_000}
    assert len(asked) == 1


def test_what_was_used_longest_ago_makes_room_unless_a_run_holds_it(backend: Backend, tmp_path: Path) -> None:
    first, second, third = (sent(backend, name, a=name.encode() * 100) for name in ("one", "two", "six"))
    inputs = Inputs(tmp_path / "inputs", 700)

    def there(record: DataRecord) -> bool:
        return (tmp_path / "inputs" / record.digest).exists()

    with inputs.held(backend, {"x": first.id}), inputs.held(backend, {"x": second.id}):
        os.utime(tmp_path / "inputs" / first.digest, (1, 1))
        with inputs.held(backend, {"x": third.id}):
            assert there(first)
            assert there(second)
    (tmp_path / "inputs" / third.digest).rename(tmp_path / "elsewhere")
    with inputs.held(backend, {"x": third.id}):
        assert not there(first)
        assert there(second)


def test_half_of_a_fetch_is_never_used(backend: Backend, tmp_path: Path) -> None:
    record = sent(backend, "d", a=b"A", b=b"B")
    part = backend.keys.data_part(record.files[1].parts[0])
    backend.objects.delete(part)
    inputs = Inputs(tmp_path / "inputs", 10**9)
    with pytest.raises(NotFound), inputs.held(backend, {"x": record.id}):
        pass
    assert not (tmp_path / "inputs" / record.digest).exists()
    backend.objects.put(part, b"B")
    with inputs.held(backend, {"x": record.id}) as found:
        assert (found["x"].path / "b").read_bytes() == b"B"
