"""What a hostile model file and a hostile entry script can reach from the process that loads them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import psutil
import pytest

from fitq.backend import Backend
from fitq.errors import ModelUnusable, Unavailable
from fitq.isolation.ladder import UNCONFINED, Ladder
from fitq.local.files import private_folder, write_private
from fitq.records import InputSchema, Registration
from fitq.scorer.client import ModelFile
from fitq.scorer.confinement import Cell, Confinement, confinement
from fitq.scorer.entry import AS_JSON, lay_out
from fitq.scorer.inspection import inspect_model
from fitq.scorer.scorers import OWN, Scorers
from fitq.settings import Settings
from fitq.snapshots import pack
from tests.conftest import Servers, eventually, ladder_of_this_machine
from tests.isolation.conftest import CANARY, HOSTILE
from tests.test_execute import Bench

RUNGS = {"keeper", "privileges", "landlock", "signals", "mounts"}
#: Executes the probes inside of whatever executes this, and leaves in `said` what they said.
PROBES = """
import contextlib, io, os, sys, tempfile
place = os.path.join(tempfile.mkdtemp(), "targets.json")
with open(place, "w") as file: file.write(TARGETS)
sys.argv = ["hostile.py", place]
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(KeyError):  # it is no run
    exec(compile(HOSTILE, "hostile.py", "exec"), {"__name__": "hostile"})
said = said.getvalue()
"""
#: Also tells the id of a process that it left to nobody.
SCRIPT = """
import json, os, subprocess, sys

def init(): pass

def run(data):
    exec(PROBES, globals())
    own = os.path.expanduser("~/kept"), os.path.join(tempfile.gettempdir(), "kept")
    for place in own:
        open(place, "w").close()
    how = "env={}, stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True"
    start = "import subprocess as s; print(s.Popen(['sleep', '1000'], %s).pid)" % how
    daemon = int(subprocess.check_output([sys.executable, "-c", start], start_new_session=True))
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib")) as file:
        return {"said": said, "daemon": daemon, "own": file.read()}
"""


def confined(settings: Settings, servers: Servers, tmp_path: Path) -> Confinement:
    """As a program of a platform whose folder is `.fitq` confines its children."""
    found = confinement(dataclasses.replace(settings, private_paths=str(tmp_path / ".fitq")))
    return found.hiding(servers.redis.data_dir, servers.objects.data_dir)


def everything(confinement: Confinement) -> Confinement:
    if missing := RUNGS - set(confinement.ladder.rungs):
        pytest.skip(f"this machine cannot do {missing}: {confinement.ladder.missing}")
    return confinement


def with_models(targets: dict[str, object], tmp_path: Path) -> Path:
    """A folder of model files as scoring has one, with one that is another model's."""
    folder = private_folder(tmp_path / "cache")
    for name, text in (("own", "its own"), ("other", CANARY)):
        write_private(folder / name, text)
    environment = f"/proc/{targets['victim']}/environ"
    more = {
        "another model's file": str(folder / "other"),
        "the environment of another process": environment,
    }
    targets["files"] = {**cast(dict[str, str], targets["files"]), **more}
    return folder


def asked(confinement: Confinement, folder: Path, targets: dict[str, object]) -> dict[str, object]:
    """What a hostile entry script answers, behind scoring's own scorers; afterwards all of it has ended."""
    said = f"PROBES = {PROBES!r}\nHOSTILE = {HOSTILE!r}\nTARGETS = {json.dumps(targets)!r}\n"
    source = private_folder(folder.parent / "source")
    (source / "score.py").write_text(said + SCRIPT)
    entry = lay_out("score.py", pack(source).data, {"model.joblib": folder / "own"}, folder / "entry-1")
    model = ModelFile("m:1", folder / "own", InputSchema(columns=[]), entry=entry)

    async def ask() -> bytes:
        scorers = Scorers(confinement=confinement, files=folder)
        async with scorers.running():
            scorer = scorers.of(OWN, Path(sys.executable), "m:1")
            return (await scorer.call(model, AS_JSON, b"{}")).body

    answer: dict[str, object] = json.loads(asyncio.run(ask()))
    return answer


def opened(lines: Iterable[str]) -> set[str]:
    return {line[5:].split(": ")[0] for line in lines if line.startswith("OPEN")}


def closed(lines: Iterable[str]) -> int:
    """How many doors were tried and did not open."""
    return sum(line.startswith("closed") for line in lines)


#: The child is its program's user, and so is its keeper.
OPEN_TO_THE_SAME_USER = {"list its keeper's descriptors"}


def test_nothing_is_open_to_a_hostile_entry_script(
    targets: dict[str, object], settings: Settings, servers: Servers, tmp_path: Path
) -> None:
    folder = with_models(targets, tmp_path)
    targets["functions"] = str(folder / "entry-1" / "code")
    answer = asked(everything(confined(settings, servers, tmp_path)), folder, targets)
    said = str(answer["said"]).splitlines()
    assert closed(said) > 40, said
    assert opened(said) <= OPEN_TO_THE_SAME_USER
    assert said[0].split()[-1].strip("0") == "", "no capability"
    assert answer["own"] == "its own"
    assert not psutil.pid_exists(cast(int, answer["daemon"]))


def test_a_hostile_entry_script_finds_open_doors_where_nothing_is_closed(
    targets: dict[str, object], settings: Settings, servers: Servers, tmp_path: Path
) -> None:
    folder = with_models(targets, tmp_path)
    targets["functions"] = str(folder / "entry-1" / "code")
    targets["only"] = ["read the", "read another", "list the", "signal a", "write into the folder"]
    off = confinement(dataclasses.replace(settings, isolation="off"))
    answer = asked(off, folder, targets)
    assert opened(str(answer["said"]).splitlines()) >= {
        "read the token (config.json)",
        "read another model's file",
        "read another run's outputs",
        "read the environment of another process",
        "list the runs of this worker",
        "signal a process of the worker's user",
        "write into the folder of training functions",
    }
    # Also then nothing outlives its scorer.
    assert not psutil.pid_exists(cast(int, answer["daemon"]))


class Hostile:
    """Executes the probes where it is unpickled."""

    def __init__(self, targets: dict[str, object]) -> None:
        self.text = f"HOSTILE = {HOSTILE!r}\nTARGETS = {json.dumps(targets)!r}\n{PROBES}"

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, (self.text + "sys.stderr.write(said); sys.stderr.flush()", {}))


def unpickled(
    confinement: Confinement,
    targets: dict[str, object],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> list[str]:
    """What a hostile pickle says while it is looked into."""
    path = private_folder(tmp_path / "upload") / "model.joblib"
    path.write_bytes(pickle.dumps(Hostile(targets)))
    capfd.readouterr()
    with contextlib.suppress(ModelUnusable):
        inspect_model(path, confinement=confinement)
    return capfd.readouterr().err.splitlines()


def test_nothing_is_open_to_a_hostile_pickle(
    targets: dict[str, object],
    settings: Settings,
    servers: Servers,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with_models(targets, tmp_path)
    within = everything(confined(settings, servers, tmp_path)).hiding(tmp_path / "cache")
    said = unpickled(within, targets, tmp_path, capfd)
    assert closed(said) > 40, said
    assert opened(said) <= OPEN_TO_THE_SAME_USER


#: What the kernel's Landlock does not cover, without a view of the file system of its own.
OPEN_WITH_LANDLOCK_ALONE = OPEN_TO_THE_SAME_USER | {
    "change the mode of a file that is not its own",
    "see what another program left in /tmp",
    "see what another program left in /dev/shm",
}


def test_what_landlock_alone_leaves_open_to_a_pickle_is_known(
    targets: dict[str, object],
    settings: Settings,
    servers: Servers,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with_models(targets, tmp_path)
    rungs = ("keeper", "privileges", "landlock", "signals")
    whole = confined(settings, servers, tmp_path).hiding(tmp_path / "cache")
    if missing := set(rungs) - set(whole.ladder.rungs):
        pytest.skip(f"this machine cannot do {missing}")
    without = dataclasses.replace(whole, ladder=dataclasses.replace(whole.ladder, rungs=rungs))
    said = unpickled(without, targets, tmp_path, capfd)
    assert closed(said) > 30, said
    assert opened(said) <= OPEN_WITH_LANDLOCK_ALONE


@pytest.mark.parametrize("closes", [True, False], ids=["confined", "not confined"])
def test_what_a_pickle_that_a_run_left_reaches_in_its_worker(
    closes: bool,
    backend: Backend,
    targets: dict[str, object],
    settings: Settings,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing, where runs reach nothing: the one is no way around what the other may not."""
    private_folder(Path(settings.work_dir))
    (tmp_path / "sources").mkdir()
    bench = Bench(backend, settings, tmp_path / "sources")
    places = [Path(settings.work_dir), tmp_path / ".fitq"]
    ladder = ladder_of_this_machine().with_places(hidden=places, opened=[])
    if missing := ladder.missing:
        pytest.skip(f"this machine cannot do {missing}")
    bench.use(ladder if closes else Ladder())
    targets["only"] = ["read the token", "read another", "list the runs", "signal a", "change the mode"]
    code = base64.b64encode(pickle.dumps(Hostile(targets))).decode()
    capfd.readouterr()
    run = bench.run(
        f"import base64; open('outputs/model.joblib', 'wb').write(base64.b64decode({code!r}))",
        register=[Registration(name="bad", path="outputs/model.joblib")],
    )
    assert run.status == "Completed", run
    said = capfd.readouterr().err.splitlines()
    probes = {line.split(": ")[0] for line in said if line.startswith(("OPEN", "closed"))}
    assert {probe.partition(" ")[0] for probe in probes} == {"closed" if closes else "OPEN"}
    assert len(probes) >= 4


class Broken(Confinement):
    """As on a machine that cannot do any more what it could when its program started."""

    def cell(self, interpreter: str, reads: Iterable[Path]) -> Cell:
        return Cell(plan={**UNCONFINED, "groups": ["/nowhere/cgroup.procs"]})


def test_a_child_that_cannot_be_confined_loads_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    left = tmp_path / "left"
    path.write_bytes(pickle.dumps(Leaving(str(left))))
    with pytest.raises(Unavailable, match=r"could not be confined: .*/nowhere") as refused:
        inspect_model(path, confinement=Broken())
    assert refused.value.status == 503
    model = ModelFile("m:1", path, InputSchema(columns=[]))

    async def load() -> None:
        scorers = Scorers(confinement=Broken(), files=tmp_path)
        for _ in range(4):  # it is not the model's fault, and is not counted against it
            with pytest.raises(Unavailable, match="could not be confined"):
                await scorers.own.load(model)
        await scorers.own.stop()

    asyncio.run(load())
    assert not left.exists()
    with contextlib.suppress(ModelUnusable):  # it is none, and that is all
        inspect_model(path)
    assert left.exists()


class Leaving:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, (f"open({self.path!r}, 'w').close()",))


def test_a_child_leaves_no_folder_behind(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(b"hello")
    within = private_folder(tmp_path / "cells")
    places = dataclasses.replace(confinement(settings), within=within)
    with pytest.raises(ModelUnusable):
        inspect_model(path, confinement=places)
    eventually(lambda: not list(within.iterdir()), what="its folder is gone")
