"""Environments are built once, whole or not at all, and are the same packages everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fitq.environments.builder import EnvironmentFolder, Environments
from fitq.environments.building import Watcher
from fitq.environments.reading import read_spec
from fitq.environments.tool import Interrupted
from fitq.errors import EnvironmentFailed, EnvironmentPostponed, NotFound
from fitq.records import to_json
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects
from tests.environments.conftest import TINY, Machine


def built(environments: Environments, *requirements: str, said: list[str] | None = None) -> EnvironmentFolder:
    spec = read_spec({"pip": list(requirements)})
    watcher = Watcher(say=(said if said is not None else []).append)
    return environments.prepare(spec, environments.choose(spec), watcher)


def version_in(folder: EnvironmentFolder, module: str) -> str:
    """What its interpreter imports, asked as a run would ask."""
    code = f"import {module}, sys; print(sys.prefix, {module}.__file__)"
    done = subprocess.run([folder.python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(folder.path), str(Path(done.stdout.split()[1]))]
    return done.stdout.split()[1]


def test_a_built_environment_imports_its_packages(machine: Machine) -> None:
    said: list[str] = []
    folder = built(machine(), TINY, said=said)
    assert str(folder.path) in version_in(folder, "iniconfig")
    assert folder.packages == {"iniconfig": "1.1.1"}
    assert folder.release.startswith("3.")
    assert f"resolving {TINY}" in said
    assert "environment ready in" in said[-1]
    assert "Creating virtual" not in " ".join(said)


def test_the_second_time_nothing_is_built(machine: Machine) -> None:
    environments = machine()
    first, said = built(environments, TINY), list[str]()
    assert built(environments, TINY, said=said).path == first.path
    assert said == []


def test_a_hash_that_was_never_built_is_not_found(machine: Machine) -> None:
    with pytest.raises(NotFound, match="No environment 0000"):
        machine().open("0" * 64)


def test_an_environment_without_packages_is_a_bare_interpreter(machine: Machine) -> None:
    assert built(machine(), "azureml-defaults").packages == {}


def test_another_machine_installs_exactly_what_was_kept(machine: Machine, objects: MemoryObjects) -> None:
    first = built(machine("first"), "iniconfig<1.1")
    loose = read_spec({"pip": ["iniconfig"]})
    environments = machine("second")
    choice = environments.choose(loose)
    name = loose.hash_for(choice.interpreter.tag, choice.interpreter.platform)
    # As if iniconfig had been resolved on a day when 1.0 was the newest.
    kept = msgspec.structs.replace(first.kept, hash=name, requirements=loose.requirements)
    objects.put(ObjectKeys("default").environment(name), to_json(kept))
    assert environments.prepare(loose, choice).packages == first.packages
    assert machine("third").open(name).packages == first.packages


def test_two_machines_that_resolve_at_once_agree(machine: Machine, objects: MemoryObjects) -> None:
    folders = [built(machine(name), TINY) for name in ("one", "two")]
    assert folders[0].kept == folders[1].kept


def test_two_threads_build_one_environment_once(machine: Machine) -> None:
    environments, said = machine(), list[str]()
    threads = [
        threading.Thread(target=built, args=(environments, TINY), kwargs={"said": said}) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(line.startswith("building environment") for line in said) == 1


BUILDER = f"""
import sys
from pathlib import Path
from fitq.environments.builder import Environments
from fitq.environments.building import Watcher
from fitq.environments.reading import read_spec
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects

def say(line):
    if line.startswith(" + "):  # everything is installed, nothing is said to be complete
        print("half", flush=True)
        sys.stdin.read()
    print(line, flush=True)

e = Environments(Path(sys.argv[1]), MemoryObjects(), ObjectKeys("default"))
spec = read_spec({{"pip": ["{TINY}"]}})
print(e.prepare(spec, e.choose(spec), Watcher(say=say)).path)
"""


def builder(folder: Path) -> subprocess.Popen[str]:
    """A process that builds an environment, and stops half-way until its standard input ends."""
    command = [sys.executable, "-c", BUILDER, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def half_way(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert "half\n" in iter(process.stdout.readline, "")


def test_two_workers_build_one_environment_once(machine: Machine, tmp_path: Path) -> None:
    machine()
    with builder(tmp_path / "machine") as first:
        half_way(first)
        with builder(tmp_path / "machine") as second:
            told = [first.communicate("", 60)[0], second.communicate("", 60)[0]]
    assert [first.returncode, second.returncode] == [0, 0], told
    paths = {text.splitlines()[-1] for text in told}
    assert [Path(path).parent.name for path in paths] == ["built"]
    assert "half" not in told[1]


def test_a_build_that_was_killed_is_done_anew(machine: Machine, tmp_path: Path) -> None:
    with builder(tmp_path / "machine") as building:
        half_way(building)
        assert list((tmp_path / "machine" / "built").iterdir()) == []
        os.kill(building.pid, signal.SIGKILL)
    assert version_in(built(machine(), TINY), "iniconfig")
    assert list((tmp_path / "machine" / "building").iterdir()) == []


def test_a_build_ends_when_nobody_waits_for_it(machine: Machine, tmp_path: Path) -> None:
    environments, spec = machine(), read_spec({"pip": [TINY]})
    with pytest.raises(Interrupted):
        environments.prepare(spec, environments.choose(spec), Watcher(interrupted=lambda: True))
    assert list((tmp_path / "machine" / "built").iterdir()) == []
    assert list((tmp_path / "machine" / "building").iterdir()) == []
    assert built(environments, TINY).packages  # its lock is free again


FAILURES = {
    "a misspelt name": (
        "scikit-lern==1.2",
        "no package 'scikit-lern' in the package index. Did you mean 'scikit-learn'",
    ),
    "no wheel for this Python": ("scikit-learn==0.24.2", "scikit-learn 0.24.2 has no wheel for Python"),
    "which versions have one": ("scikit-learn==0.24.2", "can have 1."),
    "no such version": ("iniconfig==99", "There is no iniconfig==99. Python"),
    "only sources": ("sklearn", "No version of sklearn has one"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_cannot_be_had_is_named(machine: Machine, what: str) -> None:
    requirement, said = FAILURES[what]
    with pytest.raises(EnvironmentFailed) as caught:
        built(machine(), requirement)
    assert said in caught.value.message
    assert any("error" in line for line in caught.value.data["lines"])


def test_a_contradiction_shows_its_lines(machine: Machine) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        built(machine(), "pytest==8.0.0", "iniconfig>99")
    assert "iniconfig" in caught.value.message


def test_an_index_that_is_away_is_no_fault_of_the_packages(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "packages").mkdir()  # nothing is cached there
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(EnvironmentPostponed, match="package index does not answer"):
        built(machine("offline"), "iniconfig==2.0.0")


def test_the_oldest_environment_that_nobody_uses_makes_room(machine: Machine) -> None:
    environments = machine()
    used, old, new = (built(environments, f"iniconfig=={v}") for v in ("1.1.1", "1.0.1", "2.0.0"))
    os.utime(old.path / ".ok", (1, 1))
    os.utime(used.path / ".ok", (0, 0))
    old.close()
    new.close()
    size = sum(f.lstat().st_blocks * 512 for f in old.path.rglob("*") if f.lstat().st_nlink == 1)
    assert size > 0
    assert environments.trim(0) == [old.hash, new.hash]
    assert used.path.exists()
    used.close()
    assert environments.trim(0) == [used.hash]


def test_the_date_chooses_the_version(machine: Machine) -> None:
    environments = machine()
    spec = read_spec({"pip": ["iniconfig"], "exclude_newer": "2020-09-01"})
    assert environments.prepare(spec, environments.choose(spec)).packages == {"iniconfig": "1.0.1"}


def test_no_secret_of_the_worker_reaches_uv(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FITQ_S3_SECRET_KEY", "secret-of-the-worker")
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr("fitq.environments.tool.find_uv", lambda: str(uv))
    with pytest.raises(EnvironmentFailed):
        built(machine(), TINY)
    assert "secret-of-the-worker" not in (tmp_path / "seen").read_text()
    assert "UV_CACHE_DIR" in (tmp_path / "seen").read_text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_no_fault_of_the_packages_and_leaves_nothing(
    machine: Machine, small_disk: Path
) -> None:
    environments, said = machine("small"), list[str]()
    old = built(environments, TINY)
    old.close()
    with pytest.raises(EnvironmentPostponed, match=f"no room for the environment in {small_disk}"):
        built(environments, "pytest==8.0.0", said=said)
    assert "the disk is full: removing environments that nothing uses" in said
    assert not old.path.exists()
    assert list((small_disk / "building").iterdir()) == []
    assert list((small_disk / "built").iterdir()) == []


def test_what_nothing_uses_makes_room_on_a_full_disk(machine: Machine, small_disk: Path) -> None:
    environments = machine("small")
    for version in ("1.0.1", "1.1.1", "2.0.0"):
        built(environments, f"iniconfig=={version}").close()
    filler = small_disk / "filler"
    free = os.statvfs(small_disk)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize))
    assert built(environments, "toml==0.10.2").packages == {"toml": "0.10.2"}


def test_a_python_that_is_not_here_is_looked_for_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/asked\necho error: none >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr("fitq.environments.tool.find_uv", lambda: str(uv))
    environments, said = machine(), list[str]()
    spec = read_spec({"pip": [TINY], "python": "3.5.2"})
    for _ in range(2):
        choice = environments.choose(spec, Watcher(say=said.append))
    assert "Python 3.5.2 was asked for; this is 3." in choice.substitution
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split("--no-bin ")[1].split()[0] for line in asked] == ["3.5.2", "3.5"]
    assert said == ["looking for Python 3.5.2, which is not on this machine"]
    assert machine("offline", downloads=False).choose(spec).interpreter.release
    assert len((tmp_path / "asked").read_text().splitlines()) == 2


def test_nobody_writes_into_the_files_of_a_package_by_mistake(machine: Machine) -> None:
    (module,) = built(machine(), TINY).path.glob("lib/python3.*/site-packages/iniconfig/__init__.py")
    assert module.stat().st_nlink > 1
    assert module.stat().st_mode & 0o222 == 0
