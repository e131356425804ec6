"""A run is told the secrets that it names, and nobody else is: real stores, real processes."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from fitq import function, pools
from fitq.backend import Backend
from fitq.errors import InvalidRequest
from fitq.functions import described
from fitq.local.child import child
from fitq.records import PoolSettings, RunRecord, RunRequest, RunStatus, WorkerRecord, now
from fitq.settings import Settings
from fitq.submission import submit
from fitq.worker.redaction import Redaction
from fitq.worker.vault import Vault, take_from
from tests.conftest import eventually
from tests.test_execute import Bench, bench, starter

__all__ = ["bench", "starter"]
VALUE = 'hunter2/ä"x'
CERTIFICATE = "-----BEGIN KEY-----\nMIIEvgIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----"
SEEN = "import os\nprint(sorted(k for k in os.environ if k in ('DB_PASSWORD', 'CERTIFICATE')))\n"


@pytest.fixture
def folder(bench: Bench, tmp_path: Path, shared: Path) -> Path:
    """Where this worker finds secrets, out of its runs' sight."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "CERTIFICATE").write_text(f"{CERTIFICATE}\n")
    (folder / "..data").mkdir()
    bench.executor = dataclasses.replace(
        bench.executor,
        vault=Vault(folder, {"DB_PASSWORD": VALUE}),
        ladder=bench.executor.ladder.with_places(
            hidden=[Path(bench.settings.work_dir), folder], opened=[shared]
        ),
    )
    return folder


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Where a test and its scripts meet; they may be another user's."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    return shared


def everything_in_redis(settings: Settings) -> bytes:
    store = redis.Redis.from_url(settings.redis_url)
    reads: dict[bytes, Callable[[bytes], object]] = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"list": lambda key: store.lrange(key, 0, -1),
        b"set": store.smembers,
        b"zset": lambda key: store.zrange(key, 0, -1),
        b"stream": store.xrange,
    }
    found = [reads[store.type(key)](key) for key in store.scan_iter(f"*{settings.workspace}*")]
    store.close()
    assert found
    return repr(found).encode()


def everything_in_the_bucket(backend: Backend) -> bytes:
    keys = [o.key for o in backend.objects.list(f"{backend.workspace}/") if "/snapshots/" not in o.key]
    assert any("std_log" in key for key in keys)
    return b"".join(key.encode() + (backend.objects.get(key) or b"") for key in keys)


def test_a_run_sees_the_secrets_that_it_names_and_no_other(bench: Bench, folder: Path) -> None:
    named = bench.run(SEEN + "print(len(os.environ['DB_PASSWORD']))", secrets=["DB_PASSWORD"])
    assert named.secrets == ["DB_PASSWORD"]
    assert bench.log(named) == f"['DB_PASSWORD']\n{len(VALUE)}\n"
    other = bench.run(SEEN + "print('hunter2' in open('/proc/self/environ').read())")
    assert bench.log(other) == "[]\nFalse\n"


def test_what_a_run_says_of_its_secrets_is_kept_nowhere(bench: Bench, folder: Path) -> None:
    run = bench.run(
        "import os, sys\n"
        "from azureml.core import Run\n"
        "run, value, lines = Run.get_context(), os.environ['DB_PASSWORD'], os.environ['CERTIFICATE']\n"
        "print('whole', value, '|')\n"
        "for piece in value.encode('utf-8'):\n"
        "    os.write(1, bytes([piece]))\n"
        "print()\n"
        "print(lines)\n"
        "print('one line:', lines.splitlines()[1])\n"
        "print('bar 1\\rbar', value, '\\rbar 3')\n"
        "run.log('as a metric', value)\n"
        "run.log_row('as a row', column=value, number=1.5)\n"
        "run.tag('told', value)\n"
        "run.add_properties({'told': 'x' + value})\n"
        "child = run.child_run(value)\n"
        "child.log('of a child', value)\n"
        "child.complete()\n"
        "assert run.get_secret('db-password') == value\n"
        "raise ValueError('cannot log in with ' + value)\n",
        secrets=["DB_PASSWORD", "CERTIFICATE"],
    )
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert run.failure.message.endswith("cannot log in with ***")
    assert run.tags == {"told": "***"}
    assert run.properties == {"told": "x***"}
    log = bench.log(run)
    assert log.startswith("whole *** |\n***\n***\none line: ***\nbar 3\n")
    kept = everything_in_the_bucket(bench.backend) + everything_in_redis(bench.settings)
    assert b"1.5" in kept
    assert [v for v in (b"hunter2", b"MIIEvgIBADANBgkq", b"hkiG9w0BAQEFAASC") if v in kept] == []


def test_what_keeps_a_run_is_never_told_its_secrets(bench: Bench, folder: Path, shared: Path) -> None:
    """The warm parent, whose next fork is another run's: not even while this one lives."""
    parent = bench.executor.starter.warm_parent
    if parent is None:
        pytest.skip("this run starts afresh: it has a keeper of its own")
    if os.geteuid() != 0:
        pytest.skip("only root can look into it")
    go = shared / "go"
    _, thread = bench.start(
        "import os, time, pathlib\n"
        f"pathlib.Path({str(shared / 'there')!r}).touch()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n",
        secrets=["DB_PASSWORD"],
    )  # fmt: skip
    eventually((shared / "there").exists, what="the run's start")
    (child,) = psutil.Process(parent).children()
    assert VALUE in child.environ().get("DB_PASSWORD", "")
    found = any(b"hunter2" in piece for piece in memory_of(parent))
    go.touch()
    thread.join()
    assert not found


def memory_of(process: int) -> Iterator[bytes]:
    """Everything that a process may have written."""
    place = Path("/proc", str(process))
    with (place / "mem").open("rb", buffering=0) as memory:
        for line in (place / "maps").read_text().splitlines():
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if area and "[v" not in line:
                start, end = (int(number, 16) for number in area.groups())
                memory.seek(start)
                yield memory.read(end - start)


def test_a_file_is_read_anew_for_each_run_and_never_by_one(bench: Bench, folder: Path) -> None:
    code = (
        "import os\nprint(os.environ['CERTIFICATE'][::-1])\n"
        f"try: print(open({str(folder / 'CERTIFICATE')!r}).read())\n"
        "except OSError as exc: print('closed')"
    )
    first = bench.run(code, secrets=["CERTIFICATE"])
    (folder / "CERTIFICATE").write_text("another\n")
    second = bench.run(code, secrets=["CERTIFICATE"])
    is_closed = {"landlock", "mounts"} & set(bench.executor.ladder.rungs) or os.geteuid() == 0
    assert bench.log(first).splitlines()[0] == CERTIFICATE.splitlines()[-1][::-1]
    assert bench.log(second) == f"rehtona\n{'closed' if is_closed else '***'}\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ELSEWHERE", None, "This worker has no secret 'ELSEWHERE'"),
        ("EMPTY", b"\n", "'EMPTY' cannot be a variable"),
        ("BINARY", b"\xff\xfe", "'BINARY' cannot be a variable"),
        ("LONG", b"x" * (1 << 17), "'LONG' cannot be a variable"),
        ("LINK", Path("/nowhere"), "This worker has no secret 'LINK'"),
    ],
)
def test_a_run_whose_secret_cannot_be_had_ends_with_the_way_out(
    memory_bench: Bench, tmp_path: Path, name: str, content: bytes | Path | None, said: str
) -> None:
    if isinstance(content, Path):
        (tmp_path / name).symlink_to(content)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    memory_bench.executor = dataclasses.replace(memory_bench.executor, vault=Vault(tmp_path))
    run = memory_bench.run("print('never')", secrets=[name])
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert run.failure.kind == "secret_unavailable"
    assert said in run.failure.message
    assert "FITQ_SECRETS_FOLDER" in run.failure.hint or "64 KiB" in run.failure.hint


@pytest.fixture
def memory_bench(memory_backend: Backend, settings: Settings, tmp_path: Path) -> Bench:
    (tmp_path / "sources").mkdir()
    return Bench(memory_backend, settings, tmp_path / "sources")


def worker_with(*secrets: str, pool: str = "default") -> WorkerRecord:
    return WorkerRecord(id="w", pool=pool, slots=1, seen_at=now(), started_at=now(), secrets=list(secrets))


def test_what_no_worker_of_the_pool_has_is_refused_when_it_is_submitted(memory_bench: Bench) -> None:
    backend = memory_bench.backend
    assert memory_bench.submit("", secrets=["DB_PASSWORD"]).secrets == [
        "DB_PASSWORD"
    ]  # at zero: the next may
    backend.state.report_worker(worker_with("DB_PASSWORD", "OTHER"))
    assert memory_bench.submit("", secrets=["OTHER", "OTHER"]).secrets == ["OTHER"]
    with pytest.raises(
        InvalidRequest, match=r"no secret|has a secret 'DB_PASWORD'.*'DB_PASSWORD'"
    ) as refused:
        memory_bench.submit("", secrets=["DB_PASWORD"])
    assert "FITQ_SECRET_DB_PASWORD" in refused.value.hint


def test_a_pool_may_give_fewer_than_its_workers_have(memory_bench: Bench) -> None:
    backend = memory_bench.backend
    memory_bench.executor = dataclasses.replace(
        memory_bench.executor, vault=Vault(None, {"DB_PASSWORD": VALUE, "OTHER": "other"})
    )
    backend.state.report_worker(worker_with("DB_PASSWORD", "OTHER"))
    waiting = memory_bench.submit("", secrets=["OTHER"])
    pools.configure(backend, "default", PoolSettings(secrets=["DB_PASSWORD", "LATER"]))
    assert pools.find_pool(backend, "default").offered_secrets == ["DB_PASSWORD"]
    with pytest.raises(InvalidRequest, match="'default' gives its runs no secret 'OTHER'") as refused:
        memory_bench.submit("", secrets=["OTHER"])
    assert refused.value.data["at"] == "secrets"
    memory_bench.executor.execute(waiting.id)
    ended = backend.state.get_run(waiting.id)
    assert ended is not None
    assert ended.failure is not None
    assert ended.failure.kind == "secret_unavailable"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"secrets": ["FITQ_TOKEN"]}, "not a valid secret name"),
        ({"secrets": ["db-password"]}, "not a valid secret name"),
        (
            {"secrets": ["A"], "environment_variables": {"A": "1"}},
            "named as a secret and given as a variable",
        ),
        ({"secrets": [f"S{n}" for n in range(33)]}, "may name 32 secrets"),
    ],
)
def test_names_that_cannot_be_secrets_are_refused(
    memory_backend: Backend, asked: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        submit(memory_backend, msgspec.convert({"function": "iris", **asked}, RunRequest))


def test_a_worker_takes_its_secrets_out_of_its_environment() -> None:
    environment = {"FITQ_SECRET_A": "1", "FITQ_SECRET_": "2", "FITQ_SECRETS_FOLDER": "/x", "A": "3"}
    assert take_from(environment) == {"A": "1"}
    assert environment == {"FITQ_SECRET_": "2", "FITQ_SECRETS_FOLDER": "/x", "A": "3"}


def test_of_the_programs_of_one_machine_only_workers_are_told(tmp_path: Path) -> None:
    settings = Settings(secrets_folder="/secrets")
    told = {
        program: child(
            program, "x", settings, {"FITQ_SECRET_A": "1", "FITQ_TOKEN": "2"}, tmp_path
        ).environment
        for program in ("api", "scheduler", "scoring", "worker")
    }
    named = {program for program, variables in told.items() if any("SECRET" in name for name in variables)}
    assert named == {"worker"}
    assert told["worker"] == {"FITQ_SECRET_A": "1", "FITQ_SECRETS_FOLDER": "/secrets"}


def test_a_function_names_its_own(memory_backend: Backend) -> None:
    @function(secrets=["DB_PASSWORD"])
    def report(run: object) -> None:
        del run

    known = described(report)
    assert known is not None
    memory_backend.state.publish_functions("default", [known])
    run = submit(memory_backend, RunRequest(function="report", secrets=["OTHER", "DB_PASSWORD"]))
    assert run.secrets == ["DB_PASSWORD", "OTHER"]


@given(
    values=st.lists(st.text("abc", min_size=4, max_size=7), min_size=1, max_size=3),
    pieces=st.lists(st.text("abc\n", max_size=12), max_size=12),
)
def test_pieces_of_output_are_searched_as_if_they_were_one(values: list[str], pieces: list[str]) -> None:
    redaction = Redaction(values)
    printed = b"".join([*(redaction.feed(piece.encode()) for piece in pieces), redaction.rest()]).decode()
    assert all(value not in printed for value in values)
    assert printed == redaction.text("".join(pieces))


def test_of_a_secret_that_begins_with_another_nothing_is_printed() -> None:
    redaction = Redaction(["pass", "passport"])
    assert redaction.feed(b"pass") + redaction.feed(b"port pass") + redaction.rest() == b"*** ***"


def test_a_flood_that_looks_like_a_secret_is_no_reason_to_wait_or_to_hurry() -> None:
    """Bounded work: each of these took minutes, or all memory, if every start were tried again."""
    redaction = Redaction(["aaaa", "a" * 50_000 + "b", "ab" * 30_000])
    printed = [redaction.feed(b"a" * (1 << 16)) for _ in range(20)]
    assert set(b"".join(printed)) == {ord("*")}
    assert redaction.feed(b"c").endswith(b"c")


def test_output_waits_only_where_a_secret_may_begin() -> None:
    redaction = Redaction(["password1"])
    assert redaction.feed(b"Enter pass") == b"Enter "
    assert redaction.feed(b"word: ") == b"password: "
    assert redaction.feed(b"pass") + redaction.rest() == b"pass"
    assert redaction.feed(b"password1") == b"***"
    assert Redaction(["abc"]).feed(b"abc") == b"abc"  # too short to mean anything


def test_short_secrets_are_said_to_be_printed(memory_bench: Bench) -> None:
    memory_bench.executor = dataclasses.replace(memory_bench.executor, vault=Vault(None, {"PIN": "123"}))
    run: RunRecord = memory_bench.run("print('done')", secrets=["PIN"])
    assert run.status is RunStatus.COMPLETED
    assert run.warnings == [
        "Secret PIN has fewer than 4 characters: what the run prints is not searched for it."
    ]
