"""Training functions are ordinary functions: called in a folder, held to a number one can argue with."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import joblib
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris

from fitq import RunContext
from fitq.functions import described
from tests.conftest import FUNCTIONS


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"functions_{name}", FUNCTIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def logged(folder: Path) -> dict[str, list[object]]:
    series: dict[str, list[object]] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        point = json.loads(line)
        series.setdefault(point["name"], []).append(point["value"])
    return series


def test_every_file_here_is_tested_and_declares_one_function() -> None:
    files = sorted(f.stem for f in FUNCTIONS.glob("*.py"))
    assert files == ["diabetes", "digits", "iris"]
    for name in files:
        record = described(getattr(load(name), name))
        assert record is not None
        assert record.description


@pytest.mark.parametrize(("kernel", "least"), [("linear", 0.95), ("rbf", 0.93), ("poly", 0.93)])
def test_iris_beats_the_majority_class_by_far(tmp_path: Path, kernel: str, least: float) -> None:
    """A third of the flowers are of the commonest kind; a linear model gets about 96 % right."""
    load("iris").iris(RunContext(tmp_path), kernel=kernel)
    series = logged(tmp_path)
    assert series["Kernel type"] == [kernel]
    assert series["Accuracy"][0] >= least  # type: ignore[operator]
    model = joblib.load(tmp_path / "outputs" / "model.joblib")
    flowers = load_iris(as_frame=True)
    assert model.score(flowers.data, flowers.target) >= least


def test_diabetes_beats_the_mean(tmp_path: Path) -> None:
    """Predicting the mean gives R2 0; ordinary least squares gives about 0.36 on this split."""
    load("diabetes").diabetes(RunContext(tmp_path), steps=5)
    series = logged(tmp_path)
    assert len(series["Cross-validated R2"]) == 5
    assert series["R2"][0] > 0.33  # type: ignore[operator]
    model = joblib.load(tmp_path / "outputs" / "model.joblib")
    assert model.predict(load_diabetes().data[:3]).shape == (3,)


def test_digits_beats_a_single_tree(tmp_path: Path) -> None:
    """One tree reads about 84 % of the digits; fifty of them more than 95 %."""
    load("digits").digits(RunContext(tmp_path), trees=50)
    accuracy = logged(tmp_path)["Accuracy"]
    assert len(accuracy) == 5
    assert accuracy[-1] > 0.95  # type: ignore[operator]
    model = joblib.load(tmp_path / "outputs" / "model.joblib")
    assert model.n_features_in_ == load_digits().data.shape[1]
