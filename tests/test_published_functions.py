"""What a worker knows of published code: listed once, taken over from others, or why it cannot be had."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from fitq import kept_snapshots, publishing
from fitq.backend import Backend
from fitq.environments.builder import Environments
from fitq.errors import EnvironmentFailed, NotFound, Unavailable
from fitq.records import EnvironmentRecord, FunctionRequest
from fitq.snapshots import pack
from fitq.store.keys import ObjectKeys
from fitq.worker.importing import Importer
from fitq.worker.published import PublishedFunctions
from tests.conftest import ladder_of_this_machine

CODE = "from fitq import function\n\n@function\ndef train(run, depth: int = 3): ...\n"
NEVER = {"name": "never", "pip": ["iniconfig"], "python": "3.5", "strict": True}


@pytest.fixture
def snapshot(memory_backend: Backend, tmp_path: Path) -> str:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(CODE)
    data = io.BytesIO(pack(tmp_path / "code").data)
    return kept_snapshots.keep_snapshot(memory_backend, data, max_bytes=10**6, max_files=9)


def worker(backend: Backend, folder: Path) -> PublishedFunctions:
    environments = Environments(folder / "envs", backend.objects, ObjectKeys("default"), downloads=False)
    importer = Importer(work_dir=folder / "work", ladder=ladder_of_this_machine())
    return PublishedFunctions(backend, "default", environments, importer, threading.Event())


def test_an_environment_that_cannot_be_had_is_told_and_hides_no_other_function(
    memory_backend: Backend, snapshot: str, tmp_path: Path
) -> None:
    publishing.publish(memory_backend, "train", FunctionRequest(snapshot=snapshot))
    publishing.publish(memory_backend, "never", FunctionRequest(snapshot=snapshot, environment=NEVER))
    publishing.publish(memory_backend, "other", FunctionRequest(snapshot=snapshot))
    mine = worker(memory_backend, tmp_path)
    assert mine.refresh(wait=True)
    assert {name: bool(f.error) for name, f in mine.functions.items()} == {
        "train": False, "never": True, "other": True,
    }  # fmt: skip
    assert "There is no Python 3.5" in mine.functions["never"].problem
    assert mine.functions["other"].problem == "the folder has no function of that name; it has train"
    assert not mine.refresh(wait=True), "nothing is looked into twice"

    never = EnvironmentRecord(name="never", spec={k: v for k, v in NEVER.items() if k != "name"})
    with pytest.raises(EnvironmentFailed, match="There is no Python 3"):
        mine.of_run("train", snapshot, never)


def test_what_another_worker_told_is_taken_over_from_it(
    memory_backend: Backend, snapshot: str, tmp_path: Path
) -> None:
    publishing.publish(memory_backend, "train", FunctionRequest(snapshot=snapshot))
    first, second = worker(memory_backend, tmp_path), worker(memory_backend, tmp_path)
    first.refresh(wait=True)
    memory_backend.state.publish_functions("default", list(first.functions.values()))
    memory_backend.objects.delete(memory_backend.keys.snapshot(snapshot))
    memory_backend.archives.put(snapshot, b"")  # nor from memory
    second.refresh(wait=True)
    assert second.functions == first.functions
    found = second.of_run("train", snapshot, EnvironmentRecord())
    assert found is not None
    assert found.file == "train.py"


def test_a_store_that_is_away_is_not_the_runs_fault_and_a_folder_that_is_gone_is_told(
    memory_backend: Backend, snapshot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = worker(memory_backend, tmp_path)
    with pytest.raises(NotFound, match="is not in the object store any more"):
        mine.of_run("train", "0" * 64, EnvironmentRecord())

    def away(key: str) -> None:
        raise Unavailable("The object store is away.")

    with monkeypatch.context() as patched:
        patched.setattr(memory_backend.objects, "open", away)
        with pytest.raises(Unavailable):
            mine.of_run("train", snapshot, EnvironmentRecord())
    assert mine.of_run("train", snapshot, EnvironmentRecord()) is not None
