"""What a hostile script can reach of the platform, of other runs and of the machine: nothing."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from fitq import runs
from fitq.backend import Backend
from fitq.isolation.ladder import RUNGS, Ladder
from fitq.local.files import private_folder, write_private
from fitq.settings import Settings
from fitq.worker.importing import Importer
from fitq.worker.listing import list_folder
from fitq.worker.starter import Starter
from tests.conftest import ROOT, Servers, ladder_of_this_machine, starters
from tests.isolation.conftest import CANARY, HOSTILE
from tests.test_execute import Bench


@pytest.fixture(scope="module", params=["cold", "warm"])
def starter(request: pytest.FixtureRequest) -> Iterator[Starter]:
    yield from starters(warm=request.param == "warm")


@pytest.fixture
def bench(backend: Backend, settings: Settings, servers: Servers, tmp_path: Path, starter: Starter) -> Bench:
    private_folder(Path(settings.work_dir))
    (tmp_path / "sources").mkdir()
    bench = Bench(backend, settings, tmp_path / "sources", starter)
    hidden = [Path(settings.work_dir), tmp_path / ".fitq", servers.redis.data_dir, servers.objects.data_dir]
    ladder = ladder_of_this_machine().with_places(hidden=hidden, opened=[])
    bench.use(ladder)
    return bench


def test_nothing_is_open_to_a_hostile_script(bench: Bench, targets: dict[str, object]) -> None:
    if missing := set(RUNGS) - set(bench.executor.ladder.rungs):
        pytest.skip(f"this machine cannot do {missing}: {bench.executor.ladder.missing}")
    run = bench.run(HOSTILE, "targets.json", files={"targets.json": json.dumps(targets)})
    log = bench.log(run)
    probes = [line for line in log.splitlines() if line.startswith(("OPEN", "closed"))]
    assert len(probes) > 40, log
    assert [line for line in probes if line.startswith("OPEN")] == []
    assert run.isolation == list(RUNGS)
    (who,) = [line.split() for line in log.splitlines() if line.startswith("user ")]
    _, *users, _, capabilities = who
    assert len(users) == 3
    assert not {"0", str(os.getuid())} & set(users)
    assert int(capabilities, 16) == 0
    assert run.status == "Completed", log
    assert runs.metrics(bench.backend, run) == {}
    assert bench.files(run) == ["user_logs/std_log.txt"]
    assert CANARY not in str(runs.find(bench.backend, run.id))


def test_the_same_script_finds_open_doors_where_nothing_is_closed(
    bench: Bench, targets: dict[str, object]
) -> None:
    bench.use(Ladder())
    targets["only"] = ["read the", "read another", "read its", "list", "signal", "trace"]
    targets["only"] += ["see what", "talk"]
    run = bench.run(HOSTILE, "targets.json", files={"targets.json": json.dumps(targets)})
    found = [line for line in bench.log(run).splitlines() if line.startswith("OPEN")]
    assert len(found) > 8, bench.log(run)
    # Even then the worker follows no link for the script.
    assert runs.metrics(bench.backend, run) == {}
    assert bench.files(run) == ["user_logs/std_log.txt"]


#: What the kernel's Landlock does not cover, where a worker is neither root nor may have a view of its own.
OPEN_WITH_LANDLOCK_ALONE = {
    "list its keeper's descriptors",
    "change the mode of a file that is not its own",
    "see what another program left in /tmp",
    "see what another program left in /dev/shm",
}


def test_what_landlock_alone_leaves_open_is_known(bench: Bench, targets: dict[str, object]) -> None:
    rungs = ("keeper", "privileges", "landlock", "signals")
    if missing := set(rungs) - set(bench.executor.ladder.rungs):
        pytest.skip(f"this machine cannot do {missing}")
    bench.use(dataclasses.replace(bench.executor.ladder, rungs=rungs))
    run = bench.run(HOSTILE, "targets.json", files={"targets.json": json.dumps(targets)})
    found = [line[5:].split(": ")[0] for line in bench.log(run).splitlines() if line.startswith("OPEN")]
    # A checkout below /tmp lies where runs may write, when they have no view of their own.
    here = {"write into the platform's code"} if ROOT.is_relative_to("/tmp") else set[str]()
    assert set(found) <= OPEN_WITH_LANDLOCK_ALONE | here
    assert "read the token (config.json)" not in found
    assert run.isolation == list(rungs)


#: A file of training functions that says what its import could reach as the description of its function.
IMPORTED = """
import contextlib, io, os, runpy, sys
from fitq import function

here = os.path.dirname(os.path.abspath(__file__))
sys.argv = ["hostile.py", os.path.join(here, "targets.json")]
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(KeyError):  # it is no run
    runpy.run_path(os.path.join(here, "_hostile.py"))

def probes(run): ...

probes.__doc__ = said.getvalue()
function(probes)
"""


def imported(folder: Path, targets: dict[str, object], importer: Importer) -> list[str]:
    """What a hostile file says when a worker lists it."""
    folder.mkdir()
    targets["functions"] = str(folder)
    secret = private_folder(folder.parent / "secrets") / "PASSWORD"
    write_private(secret, CANARY)
    environment = f"/proc/{targets['victim']}/environ"
    files = {"a secret": str(secret), "the environment of a worker's process": environment}
    targets["files"] = {**cast(dict[str, str], targets["files"]), **files}
    for name, text in (
        ("_hostile.py", HOSTILE),
        ("targets.json", json.dumps(targets)),
        ("probes.py", IMPORTED),
    ):
        (folder / name).write_text(text)
    (record,) = list_folder(folder, importer)
    assert record.error == ""
    return record.description.splitlines()


def test_nothing_is_open_to_a_file_of_functions_while_it_is_imported(
    targets: dict[str, object], settings: Settings, servers: Servers, tmp_path: Path
) -> None:
    places = [Path(settings.work_dir), tmp_path / ".fitq", tmp_path / "secrets"]
    places += [servers.redis.data_dir, servers.objects.data_dir]
    ladder = ladder_of_this_machine().with_places(hidden=places, opened=[])
    if missing := set(RUNGS) - set(ladder.rungs):
        pytest.skip(f"this machine cannot do {missing}: {ladder.missing}")
    said = imported(
        tmp_path / "functions", targets, Importer(work_dir=Path(settings.work_dir), ladder=ladder)
    )
    assert len([line for line in said if line.startswith("closed")]) > 40, said
    assert [line for line in said if line.startswith("OPEN")] == []
    assert not (tmp_path / "functions" / "left.py").exists()
    assert [p.name for p in Path(settings.work_dir).iterdir()] == ["victim-1"]


def test_a_file_of_functions_finds_open_doors_where_nothing_is_closed(
    targets: dict[str, object], settings: Settings, tmp_path: Path
) -> None:
    targets["only"] = ["read a", "read the env", "list the runs", "write into the folder"]
    said = imported(
        tmp_path / "functions", targets, Importer(work_dir=Path(settings.work_dir), ladder=Ladder())
    )
    found = {line[5:].split(": ")[0] for line in said if line.startswith("OPEN")}
    assert found >= {
        "read a secret",
        "read another run's outputs",
        "read the environment of a worker's process",
        "list the runs of this worker",
        "write into the folder of training functions",
    }


@pytest.mark.parametrize("rungs", [("keeper", "privileges", "landlock", "signals"), tuple(RUNGS)])
def test_scripts_work_as_they_are(bench: Bench, rungs: tuple[str, ...]) -> None:
    """What training scripts do to a machine: scratch files, caches, processes, shared memory, programs."""
    if missing := set(rungs) - set(bench.executor.ladder.rungs):
        pytest.skip(f"this machine cannot do {missing}")
    bench.use(dataclasses.replace(bench.executor.ladder, rungs=rungs))
    run = bench.run(
        "import getpass, multiprocessing, os, pathlib, shutil, socket, subprocess, sys, tempfile\n"
        "import joblib, numpy\n"
        "def double(n): return 2 * n\n"
        "if __name__ == '__main__':\n"
        "    pathlib.Path('beside.txt').write_text('x'); pathlib.Path('outputs/a.txt').write_text('x')\n"
        "    cache = pathlib.Path.home() / '.cache' / 'mine'; cache.mkdir(parents=True)\n"
        "    os.rename('beside.txt', cache / 'moved'); shutil.move(str(cache / 'moved'), 'beside.txt')\n"
        "    with tempfile.NamedTemporaryFile('w') as file: file.write('x')\n"
        "    with multiprocessing.Pool(2) as pool: assert pool.map(double, [1, 2]) == [2, 4]\n"
        "    if len(tempfile.gettempdir()) < 60:  # a socket of a deeper folder has no name\n"
        "        with multiprocessing.Manager() as manager: manager.dict(a=1)\n"
        "    big = numpy.ones(200_000)\n"
        "    assert joblib.Parallel(2, max_nbytes=1000)(joblib.delayed(numpy.sum)(big) for _ in '1')\n"
        "    subprocess.run([sys.executable, '-c', 'import sklearn; open(\"by\", \"w\")'], check=True)\n"
        "    subprocess.run('cat /etc/hosts | head -1 > /dev/stdout', shell=True, check=True)\n"
        "    server = socket.create_server(('127.0.0.1', 0))\n"
        "    client = socket.create_connection(server.getsockname())\n"
        "    client.close(); server.close(); getpass.getuser(); os.kill(os.getpid(), 0)\n"
        "    print('all of it')\n"
    )
    assert "all of it" in bench.log(run), bench.log(run)
    assert run.status == "Completed"
