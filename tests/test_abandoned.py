"""What a worker that starts removes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

from fitq.worker.abandoned import held, sweep


def test_a_folder_is_kept_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    runs = [tmp_path / "iris-1", tmp_path / "iris-2"]
    for folder in (*runs, tmp_path / "inputs"):
        (folder / "run" / "code").mkdir(parents=True)
    with held(runs[0]):
        with held(runs[1]):
            sweep(tmp_path)
            assert all(folder.is_dir() for folder in runs)
        sweep(tmp_path)
        assert sorted(folder.name for folder in tmp_path.iterdir()) == ["inputs", "iris-1"]
    sweep(tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["inputs"], "it was never a run's"


def test_a_lock_that_is_not_there_yet_or_leads_elsewhere_is_nobody_s_word(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    for name in ("young", "linked"):
        (tmp_path / "work" / name).mkdir(parents=True)
    (tmp_path / "work" / "young" / ".lock").touch()
    (tmp_path / "work" / "linked" / "lock").symlink_to(target)
    sweep(tmp_path / "work")
    sweep(tmp_path / "nowhere")
    assert {folder.name for folder in (tmp_path / "work").iterdir()} == {"young", "linked"}
