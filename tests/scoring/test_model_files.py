"""Files of models on the disk of the scoring program: no more of them than may be."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from fitq.scoring.files import ModelFiles
from tests.scoring.conftest import Scoring, assert_one_error_shape, running, saved
from tests.scoring.test_batch import settled

ROWS = [[5.1, 3.5, 1.4, 0.2]]
FILE_BYTES = 200_000


def register(scoring: Scoring, iris: Any, *names: str) -> dict[str, str]:
    """Models whose files differ and are of nearly one size; name → SHA-256."""
    record = scoring.register("iris", iris)
    hashes = {}
    for name in names:
        padded = copy.copy(iris)
        padded.padding = name.encode() * (FILE_BYTES // len(name))
        hashes[name] = scoring.keep(name, saved(padded), record).sha256
    return hashes


def kept(folder: Path, hashes: dict[str, str]) -> list[str]:
    """The models whose files are on disk."""
    files = {f.name for f in (folder / "cache").iterdir()}
    return [name for name, sha256 in hashes.items() if sha256 in files]


def ask(scoring: Scoring, name: str) -> None:
    """Once nothing more is asked of it in the background."""
    assert scoring.score(name, ROWS)
    settled(scoring, name, "predict_proba")


def test_files_beyond_the_bound_are_removed_and_fetched_again(tmp_path: Path, iris: Any) -> None:
    most = int(2.5 * FILE_BYTES)
    # of models that are asked, all but the last are unloaded at once
    for scoring in running(tmp_path, models_disk_bytes=most, models_memory_bytes=1):
        hashes = register(scoring, iris, "a", "b", "c")
        for asked, there in [("a", "a"), ("b", "ab"), ("a", "ab"), ("c", "ac"), ("b", "bc"), ("a", "ab")]:
            ask(scoring, asked)
            assert kept(tmp_path, hashes) == list(there), asked
            assert sum(f.stat().st_size for f in (tmp_path / "cache").iterdir()) <= most


def test_files_of_loaded_models_stay(tmp_path: Path, iris: Any) -> None:
    for scoring in running(tmp_path, models_disk_bytes=1):
        hashes = register(scoring, iris, "a", "b", "c")
        for name in hashes:
            assert scoring.score(name, ROWS)
        assert kept(tmp_path, hashes) == ["a", "b", "c"]
        assert scoring.score("a", ROWS)


def test_a_full_disk_is_cleared_of_what_is_not_loaded(
    tmp_path: Path, iris: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = ModelFiles._fetch

    def full_with_two(self: ModelFiles, file: Any) -> None:
        if len(kept(tmp_path, hashes)) == 2:
            raise OSError(28, "No space left on device")
        fetch(self, file)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for scoring in running(tmp_path, models_memory_bytes=1):
        hashes = register(scoring, iris, "a", "b", "c", "d")
        monkeypatch.setattr(ModelFiles, "_fetch", full_with_two)
        for name in "abc":
            ask(scoring, name)
        assert kept(tmp_path, hashes) == ["b", "c"]
        monkeypatch.setattr(ModelFiles, "_fetch", full)
        answer = scoring.post("/models/d/score", {"data": ROWS})
        assert assert_one_error_shape(answer, 503)["reason"] == "disk"
        assert int(answer.headers["retry-after"]) >= 1
        assert kept(tmp_path, hashes) == ["c"], "which is loaded"
        assert scoring.score("c", ROWS)
