"""What a worker removes of others, and what it leaves alone."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitq.errors import Unavailable
from fitq.records import RunRecord, RunStatus, now
from fitq.worker.abandoned import Abandoned, discard, held, sweep
from fitq.worker.folder import RunFolder, parts_of


def end_nothing(_: Abandoned) -> bool:
    """Of an attempt that left nothing but its folder."""
    return True


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

    def end(found: Abandoned) -> bool:
        sweep(abandoned.parent, end_nothing)  # another worker, at the same time
        assert (ended, abandoned.is_dir()) == ([], True)
        ended.append(found.name)
        return True

    sweep(abandoned.parent, end)
    assert (ended, abandoned.exists()) == ([abandoned.name], False)


def test_what_cannot_be_ended_yet_is_found_again(abandoned: Path) -> None:
    def cannot(found: Abandoned) -> bool:
        raise Unavailable(f"Redis is away: {found.name}")

    with pytest.raises(Unavailable):
        sweep(abandoned.parent, cannot)
    assert abandoned.is_dir()
    sweep(abandoned.parent, end_nothing)
    assert not abandoned.exists()


@pytest.mark.parametrize(("holder", "is_dead"), [(None, True), ("", True), ("another machine", False)])
def test_of_another_machine_a_free_lock_proves_no_death(
    abandoned: Path, holder: str | None, is_dead: bool
) -> None:
    """Its file system may keep locks from us. Workers of older versions said nothing of theirs."""
    if holder is not None:
        (abandoned / "lock").write_text(holder)
    found: list[Abandoned] = []

    def keep(one: Abandoned) -> bool:
        found.append(one)
        return False

    sweep(abandoned.parent, keep)
    assert (found, abandoned.is_dir()) == ([Abandoned(abandoned.name, is_dead)], True)
    sweep(abandoned.parent, end_nothing)
    assert not abandoned.exists()


def test_a_removal_that_was_cut_short_anywhere_is_done_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def dying_at(step: int, steps: itertools.count[int], call: Callable[..., None]) -> Callable[..., None]:
        def taken(*args: Any, **kwargs: Any) -> None:
            if next(steps) == step:
                raise Died
            call(*args, **kwargs)

        return taken

    for step in range(8):
        folder = tmp_path / f"iris-ab12cd34-1-{step:08}"
        (folder / "run" / "code").mkdir(parents=True)
        for file in ("run/code/train.py", "run/metrics.jsonl", "std_log.txt"):
            (folder / file).touch()
        with held(folder):
            pass
        with monkeypatch.context() as crash, contextlib.suppress(Died):
            steps = itertools.count()
            for call in ("unlink", "rmdir"):
                crash.setattr(os, call, dying_at(step, steps, getattr(os, call)))
            discard(folder)
        sweep(tmp_path, end_nothing)
        assert list(folder.rglob("*")) == [], f"after {step} steps"
    assert not folder.exists(), "it took no more steps than were tried"


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
