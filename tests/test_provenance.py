"""A model file that no run tells of: its environment is given, or found, or the choice to make is named."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import joblib
import msgspec
import pytest
import sklearn
from sklearn.linear_model import LinearRegression

from fitq.backend import Backend
from fitq.environments.builder import EnvironmentFolder, Environments
from fitq.environments.matching import spec_of
from fitq.errors import ModelUnusable
from fitq.records import ModelRecord, RegisterRequest, Versions, to_json
from fitq.registry import register
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects

KEYS = ObjectKeys("default")
TRAIN = """
import sys, joblib
from sklearn.linear_model import LinearRegression
joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0, 1]), sys.argv[1])
"""


@pytest.fixture(scope="module")
def old_file(older: EnvironmentFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by scikit-learn 1.5.2."""
    file = tmp_path_factory.mktemp("provenance") / "model.joblib"
    subprocess.run([older.python, "-c", TRAIN, file], check=True)
    return file


@pytest.fixture
def environments(older: EnvironmentFolder) -> Environments:
    """Those of a machine that resolves scikit-learn 1.5.2 to what the older environment has."""
    objects = MemoryObjects()
    environments = Environments(older.path.parent.parent, objects, KEYS)
    spec = spec_of(Versions(packages={"scikit-learn": "1.5.2"}))
    interpreter = environments.choose(spec).interpreter
    name = spec.hash_for(interpreter.tag, interpreter.platform)
    kept = msgspec.structs.replace(older.kept, hash=name, requirements=spec.requirements)
    objects.put(KEYS.environment(name), to_json(kept))
    return environments


def uploaded(backend: Backend, file: Path, environments: Environments, **more: object) -> ModelRecord:
    request = RegisterRequest(name="line", **more)  # type: ignore[arg-type]
    return register(backend, request, upload=file, environments=environments)


def test_what_the_file_says_finds_its_environment(
    memory_backend: Backend, old_file: Path, environments: Environments, older: EnvironmentFolder
) -> None:
    model = uploaded(memory_backend, old_file, environments)
    assert model.versions.packages["scikit-learn"] == "1.5.2"
    assert model.environment
    assert model.environment != older.hash
    assert "Nothing but the file tells what wrote it: scikit-learn 1.5.2." in model.warnings[0]


def test_an_environment_that_is_given_is_the_one(
    memory_backend: Backend, old_file: Path, environments: Environments, older: EnvironmentFolder
) -> None:
    model = uploaded(memory_backend, old_file, environments, environment=older.hash)
    assert (model.environment, model.versions.packages) == (older.hash, older.packages)
    assert not any("Nothing but the file" in warning for warning in model.warnings)


def test_versions_that_cannot_be_had_are_refused_with_the_choice_to_make(
    memory_backend: Backend, environments: Environments, tmp_path: Path
) -> None:
    file = tmp_path / "model.joblib"
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0, 1]), file)
    written, never = sklearn.__version__, re.sub(r"\d", "9", sklearn.__version__)
    file.write_bytes(file.read_bytes().replace(written.encode(), never.encode()))

    with pytest.raises(ModelUnusable, match=f"was written by .*{never}") as caught:
        uploaded(memory_backend, file, environments)
    assert "--environment FILE, or --environment platform" in caught.value.hint
    assert caught.value.data["registered"] == {"scikit-learn": never}
    assert memory_backend.catalog.model_names() == []

    model = uploaded(memory_backend, file, environments, environment="platform")
    assert any("as asked for" in warning for warning in model.warnings)
    assert (model.environment, model.versions.packages["scikit-learn"]) == ("", written)
