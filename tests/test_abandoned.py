"""What a worker removes of others, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitq.errors import Unavailable
from fitq.records import RunRecord, RunStatus, now
from fitq.worker.abandoned import held, sweep
from fitq.worker.folder import RunFolder, parts_of


def end_nothing(attempt: str) -> None:
    """Of an attempt that left nothing but its folder."""


def test_a_folder_is_kept_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    runs = [tmp_path / "iris-1", tmp_path / "iris-2"]
    for folder in (*runs, tmp_path / "inputs"):
        (folder / "run" / "code").mkdir(parents=True)
    with held(runs[0]):
        with held(runs[1]):
            sweep(tmp_path, end_nothing)
            assert all(folder.is_dir() for folder in runs)
        sweep(tmp_path, end_nothing)
        assert sorted(folder.name for folder in tmp_path.iterdir()) == ["inputs", "iris-1"]
    sweep(tmp_path, end_nothing)
    assert [folder.name for folder in tmp_path.iterdir()] == ["inputs"], "it was never a run's"


def test_a_lock_that_is_not_there_yet_or_leads_elsewhere_is_nobody_s_word(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    for name in ("young", "linked"):
        (tmp_path / "work" / name).mkdir(parents=True)
    (tmp_path / "work" / "young" / ".lock").touch()
    (tmp_path / "work" / "linked" / "lock").symlink_to(target)
    sweep(tmp_path / "work", end_nothing)
    sweep(tmp_path / "nowhere", end_nothing)
    assert {folder.name for folder in (tmp_path / "work").iterdir()} == {"young", "linked"}


@pytest.fixture
def abandoned(tmp_path: Path) -> Path:
    folder = tmp_path / "iris-ab12cd34-1-00c0ffee"
    folder.mkdir()
    with held(folder):
        pass
    return folder


def test_an_attempt_is_ended_by_one_of_those_who_find_it(abandoned: Path) -> None:
    ended: list[str] = []

    def end(attempt: str) -> None:
        sweep(abandoned.parent, ended.append)  # another worker, at the same time
        assert (ended, abandoned.is_dir()) == ([], True)
        ended.append(attempt)

    sweep(abandoned.parent, end)
    assert (ended, abandoned.exists()) == ([abandoned.name], False)


def test_what_cannot_be_ended_yet_is_found_again(abandoned: Path) -> None:
    def cannot(attempt: str) -> None:
        raise Unavailable(f"Redis is away: {attempt}")

    with pytest.raises(Unavailable):
        sweep(abandoned.parent, cannot)
    ended: list[str] = []
    sweep(abandoned.parent, ended.append)
    assert (ended, abandoned.exists()) == ([abandoned.name], False)


def test_attempts_of_one_number_have_folders_of_their_own(tmp_path: Path) -> None:
    """A Redis that lost its data counts them anew, while a worker that stood still has one yet."""
    first, second = (RunFolder(tmp_path, a_run(claim)) for claim in ("00c0ffee", "00facade"))
    first.make()
    second.make()
    assert (first.code.parent.is_dir(), second.code.parent.is_dir()) == (True, True)
    first.remove()
    assert [p.name for p in tmp_path.iterdir()] == ["iris-ab12cd34-1-00facade"]
    assert parts_of("iris-ab12cd34-1-00facade") == ("iris-ab12cd34", "1-00facade")
    second.remove()


def a_run(claim: str) -> RunRecord:
    return RunRecord(
        id="iris-ab12cd34", experiment="iris", status=RunStatus.PREPARING, created_at=now(), pool="default",
        attempt=1, claim_id=claim, script="train.py",
    )  # fmt: skip
