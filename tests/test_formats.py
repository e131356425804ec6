"""Versions: a program leaves alone what a newer one wrote, and works together with its neighbour."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fitq import formats
from fitq.backend import Backend
from fitq.cli.upgrade import are_neighbours
from fitq.errors import Conflict, Unavailable
from fitq.local.ports import free_ports
from fitq.records import RegisterRequest, RunRequest, RunStatus, now, to_json
from fitq.sdk.client import Client
from fitq.settings import Settings
from fitq.snapshots import pack
from tests.conftest import FUNCTIONS, ROOT, eventually


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
    assert formats.from_kept_json(newer, formats.FormatRecord).written_by == "x"


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    """A question to git about this checkout, whoever owns its files."""
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *words], cwd=ROOT, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the commit before this one. Only without any such commit is there nothing to test."""
    if not (ROOT / ".git").exists():
        pytest.skip(
            "NOT TESTED: neighbouring versions. This is no checkout of git, so there is no version before."
        )
    if git("rev-parse", "--verify", "--quiet", "HEAD~1").returncode:
        pytest.skip(
            "NOT TESTED: neighbouring versions. HEAD has no parent here; fetch it: git fetch --deepen=1"
        )
    archive = git("archive", "HEAD~1", "src/fitq")
    assert archive.returncode == 0, archive.stderr.decode()
    folder = tmp_path_factory.mktemp("earlier")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import fitq; print(fitq.__file__)"],
        env={**os.environ, "PYTHONPATH": str(folder / "src")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(folder)), "the other version would not be what is tested"
    return folder / "src"


GATED = """
import pathlib, time
print("going", flush=True)
while not pathlib.Path({gate!r}).exists(): time.sleep(0.02)
pathlib.Path("outputs/x.txt").write_text("x")
"""


class Mixed:
    """The programs of a platform, some of this version and some of the one before."""

    def __init__(self, settings: Settings, earlier: Path, old: tuple[str, ...]) -> None:
        api_port, scoring_port = free_ports(2)
        self.settings = dataclasses.replace(
            settings,
            functions=str(FUNCTIONS),
            lease_seconds=2.0,
            api_port=api_port,
            scoring_port=scoring_port,
            url=f"http://127.0.0.1:{api_port}",
            scoring_url=f"http://127.0.0.1:{scoring_port}",
        )
        self._earlier, self._old = earlier, old
        self._running: list[subprocess.Popen[str]] = []

    def start(self, program: str) -> subprocess.Popen[str]:
        source = self._earlier if program in self._old else None
        self._running.append(started(program, self.settings, source))
        return self._running[-1]

    def stop(self) -> None:
        for program in self._running:
            program.terminate()
        for program in self._running:
            program.communicate(timeout=60)


@pytest.mark.parametrize("old", [("api", "scheduler"), ("worker", "scoring")], ids=" ".join)
def test_neighbouring_versions_are_one_platform(
    earlier: Path, backend: Backend, settings: Settings, tmp_path: Path, old: tuple[str, ...]
) -> None:
    """A script and a function are executed, registered and scored. That a worker died is noticed by a
    scheduler of the version before."""
    mixed, gate, dies = Mixed(settings, earlier, old), tmp_path / "gate", "scheduler" in old
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.py").write_text(GATED.format(gate=str(gate)))
    try:
        for program in ("api", "scheduler", "scoring"):
            mixed.start(program)
        worker = mixed.start("worker")
        with Client(mixed.settings.url, settings.token, mixed.settings.scoring_url) as client:
            eventually(lambda: is_up(client), seconds=90, what="the API and the worker's functions")
            snapshot = client.upload_snapshot(pack(tmp_path / "source").data)
            script = client.submit_run(RunRequest(snapshot=snapshot, script="train.py"))
            eventually(lambda: client.read_whole_log(script.id) == b"going\n", seconds=60)
            if dies:
                worker.kill()
                mixed.start("worker")
            gate.touch()
            function = client.submit_run(RunRequest(function="iris", experiment="mixed"))
            for run in (script, function):
                eventually(lambda run=run: client.get_run(run.id).status.is_final, seconds=90)  # type: ignore[misc]
                assert client.get_run(run.id).status is RunStatus.COMPLETED
            assert client.get_run(script.id).attempt == (2 if dies else 1)
            assert "outputs/x.txt" in [a.path for a in client.artifacts(script.id)]
            asked = RegisterRequest(name="iris", run=function.id, path="outputs/model.joblib")
            assert client.register_model(asked).version == 1
            assert eventually(lambda: scored(client), seconds=60) == [0]
    finally:
        mixed.stop()


def is_up(client: Client) -> bool:
    """Whether a worker has told the API what it can run."""
    try:
        return any(f.name == "iris" for f in client.functions())
    except Unavailable:
        return False


def scored(client: Client) -> list[int] | None:
    """What the model says to one flower, once scoring answers."""
    try:
        answer: list[int] = client.score("iris", {"data": [[5.1, 3.5, 1.4, 0.2]]})
    except Unavailable:
        return None
    return answer
