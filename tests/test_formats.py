"""Versions: a program leaves alone what a newer one wrote, and works together with its neighbour."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fitq import formats, runs
from fitq.backend import Backend
from fitq.cli.upgrade import are_neighbours
from fitq.errors import Conflict
from fitq.local.ports import free_ports
from fitq.records import RunRequest, RunStatus, now, to_json
from fitq.sdk.client import Client
from fitq.settings import Settings
from tests.conftest import ROOT, eventually
from tests.test_execute import Bench


def test_the_first_program_writes_its_format_and_others_agree(backend: Backend) -> None:
    assert formats.read(backend.objects, backend.keys) is None
    first = formats.agree(backend.objects, backend.keys)
    assert first.format == formats.FORMAT
    assert formats.agree(backend.objects, backend.keys) == first


def write_newer(backend: Backend) -> None:
    newer = formats.FormatRecord(format=formats.FORMAT + 1, written_by="9.0.0", at=now())
    backend.objects.put(backend.keys.format(), to_json(newer))


def test_what_is_newer_is_refused_with_the_way_out(backend: Backend) -> None:
    write_newer(backend)
    with pytest.raises(Conflict, match=r"written by fitq 9\.0\.0.*Run this program in the newer version"):
        formats.agree(backend.objects, backend.keys)


def started(program: str, settings: Settings, source: Path | None = None) -> subprocess.Popen[str]:
    """A program in a process of its own; of another version if `source` is where that lies."""
    environment = {**os.environ, **settings.to_environment()}
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "fitq", program],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_programs_end_before_they_touch_what_is_newer(backend: Backend, settings: Settings) -> None:
    write_newer(backend)
    before = {o.key for o in backend.objects.list(f"{backend.workspace}/")}
    programs = [started(name, settings) for name in ("api", "scheduler", "scoring", "worker")]
    for program in programs:
        said, _ = program.communicate(timeout=60)
        assert program.returncode == 2, said
        assert "understands formats up to" in said
        assert "Traceback" not in said
    assert {o.key for o in backend.objects.list(f"{backend.workspace}/")} == before


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [("0.1.0", "0.2.5", True), ("0.1.0", "0.3.0", False), ("1.0.0", "0.9.0", False), ("0.1", "0.1.0", True)],
)
def test_neighbours_differ_by_one_minor_version(one: str, other: str, near: bool) -> None:
    assert are_neighbours(one, other) is near


def test_records_pass_between_versions_that_know_other_fields(backend: Backend) -> None:
    """A program leaves out what it does not know, and fills in what is missing."""
    written = msgspec.json.decode(to_json(formats.FormatRecord(format=1, written_by="x", at=now())))
    newer = msgspec.json.encode({**written, "added_later": [1]})
    assert formats.from_json(newer, formats.FormatRecord).written_by == "x"


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the commit before this one."""
    folder = tmp_path_factory.mktemp("earlier")
    archive = subprocess.run(
        ["git", "archive", "HEAD~1", "src/fitq"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"there is no commit before this one here: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import fitq; print(fitq.__file__)"],
        env={**os.environ, "PYTHONPATH": str(folder / "src")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(folder)), "the other version would not be what is tested"
    return folder / "src"


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path) -> Bench:
    (tmp_path / "sources").mkdir()
    return Bench(backend, settings, tmp_path / "sources")


SCRIPT = "open('outputs/x.txt', 'w').write('x'); print('hello')"


def check_run(bench: Bench, run_id: str) -> None:
    run = runs.find(bench.backend, run_id)
    assert run.status is RunStatus.COMPLETED
    assert bench.log(run) == "hello\n"
    assert "outputs/x.txt" in bench.files(run)


def test_a_worker_of_the_version_before_executes_what_this_one_accepts(
    earlier: Path, bench: Bench, backend: Backend, settings: Settings
) -> None:
    worker = started("worker", settings, earlier)
    try:
        run = bench.submit(SCRIPT)
        backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
        eventually(lambda: runs.find(backend, run.id).status.is_final, seconds=60)
        check_run(bench, run.id)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def test_this_version_executes_what_an_api_of_the_version_before_accepts(
    earlier: Path, bench: Bench, backend: Backend, settings: Settings
) -> None:
    port = free_ports(1)[0]
    api = started("api", dataclasses.replace(settings, api_port=port), earlier)
    try:
        snapshot = bench.submit(SCRIPT).snapshot
        with Client(f"http://127.0.0.1:{port}", settings.token) as client:
            assert eventually(client.health, seconds=60)
            run = client.submit_run(RunRequest(snapshot=snapshot, script="train.py"))
            bench.executor.execute(run.id)
            check_run(bench, run.id)
            assert client.get_run(run.id).status is RunStatus.COMPLETED
            assert client.read_whole_log(run.id) == b"hello\n"
    finally:
        api.terminate()
        api.communicate(timeout=60)
