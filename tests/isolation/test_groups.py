"""Control groups of runs whose worker was killed."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitq.isolation.groups import Group, Groups, find_groups


@pytest.fixture
def groups() -> Iterator[Groups]:
    """A place of its own in this machine's hierarchies."""
    found = find_groups()
    if found is None:
        pytest.skip("this machine lets nobody make control groups")
    inner = Groups(tuple(parent / f"test-{os.getpid()}" for parent in found.parents))
    for parent in inner.parents:
        parent.mkdir()
    yield inner
    for parent in inner.parents:
        parent.rmdir()


def test_what_a_killed_worker_left_is_removed_and_what_is_in_use_is_not(groups: Groups) -> None:
    left = groups.make("fitq-left-1", memory_bytes=1 << 30, processes=10)
    used = groups.make("fitq-used-1", memory_bytes=None, processes=10)
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        for folder in used.folders:
            (folder / "cgroup.procs").write_text(str(sleeper.pid))
        assert groups.sweep() == 0, "all are younger than that"
        assert groups.sweep(older_than_seconds=-1) == len(left.folders)
        assert not any(folder.exists() for folder in left.folders)
        assert all(folder.exists() for folder in used.folders)
    finally:
        sleeper.kill()
        sleeper.wait()
        used.remove()


def test_a_group_ends_with_all_that_is_in_it(groups: Groups) -> None:
    group = groups.make("fitq-busy-1", memory_bytes=None, processes=10)
    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    waiting = [threading.Thread(target=sleeper.wait) for sleeper in sleepers]  # as init would
    try:
        for thread, sleeper in zip(waiting, sleepers, strict=True):
            thread.start()
            for folder in group.folders:
                (folder / "cgroup.procs").write_text(str(sleeper.pid))
        groups.of("fitq-busy-1").end()
        assert not any(folder.exists() for folder in group.folders)
        groups.of("fitq-busy-1").end()  # it is not there any more
    finally:
        for thread, sleeper in zip(waiting, sleepers, strict=True):
            sleeper.kill()
            thread.join()
    assert [sleeper.returncode for sleeper in sleepers] == [-9, -9, -9]


def test_a_process_that_cannot_be_seen_from_here_is_not_taken_for_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says 0 for it, and a signal to 0 ends whoever sends it, with all of its group."""
    signaled: list[int] = []
    monkeypatch.setattr("fitq.isolation.groups._SECONDS_TO_EMPTY", 0.05)
    monkeypatch.setattr(os, "kill", lambda pid, _: signaled.append(pid))
    (tmp_path / "cgroup.procs").write_text("0\n")
    Group((tmp_path,)).end()
    assert signaled == []
