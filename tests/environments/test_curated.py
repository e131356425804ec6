"""Every curated environment is installed, on the first Python that it may have here, and trains a model.

They are 1 GB of wheels, so all of them only when asked:

    FITQ_ALL_CURATED=1 scripts/test tests/environments/test_curated.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fitq.environments.builder import Environments
from fitq.environments.curated import CURATED, Curated
from fitq.environments.interpreters import Choice, find_interpreters
from fitq.errors import EnvironmentFailed
from fitq.worker.runtime import Runtime
from tests.environments.conftest import Machine

#: What scripts of the time did, in the names of its numpy.
SAMPLE = """
import sys
import joblib, numpy as np, pandas as pd, sklearn
from azureml.core.run import Run
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

if tuple(map(int, np.__version__.split(".")[:2])) < (1, 24):
    assert np.float(1) == 1.0 and np.str("a") == "a" and np.bool(1) is True
run = Run.get_context()
iris = datasets.load_iris(as_frame=True)
X, X_test, y, y_test = train_test_split(iris.data, iris.target, random_state=0)
for model in (SVC(kernel="linear"), RandomForestClassifier(10, random_state=0)):
    accuracy = model.fit(X, y).score(X_test, y_test)
    run.log("Accuracy", accuracy)
    joblib.dump(model, "model.joblib")
    assert (joblib.load("model.joblib").predict(X_test) == model.predict(X_test)).all()
    assert accuracy > 0.9
print(sklearn.__version__)
"""

everything = pytest.mark.skipif(not os.environ.get("FITQ_ALL_CURATED"), reason="FITQ_ALL_CURATED=1 runs it")


def ran(environments: Environments, curated: Curated, folder: Path) -> str:
    """What the sample printed in it."""
    prepared = environments.prepare(curated.spec, environments.choose(curated.spec))
    runtime = Runtime(prepared)
    (folder / "sample.py").write_text(SAMPLE)
    done = subprocess.run(
        [runtime.python, "sample.py"],
        cwd=folder,
        env=runtime.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    runtime.close()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@everything
@pytest.mark.parametrize("curated", CURATED, ids=lambda c: c.name)
def test_it_installs_and_trains_here(machine: Machine, curated: Curated, tmp_path: Path) -> None:
    (pinned,) = (r.partition("==")[2] for r in curated.requirements if r.startswith("scikit-learn=="))
    assert ran(machine(), curated, tmp_path) == pinned


@everything
@pytest.mark.parametrize("curated", CURATED, ids=lambda c: c.name)
def test_it_resolves_for_every_python_that_it_may_have(machine: Machine, curated: Curated) -> None:
    environments, there = machine(), find_interpreters()
    assert there
    for interpreter in (i for i in there if curated.spec.allows(i.release)):
        environments.prepare(curated.spec, Choice(interpreter)).close()


def test_one_that_cannot_be_had_here_says_so(machine: Machine) -> None:
    unlike = Curated("old", "<3.1", ("numpy==1.0",), "2007-01-01", "Older than every Python here.")
    with pytest.raises(EnvironmentFailed, match=r"There is no Python <3\.1 on this worker"):
        machine().choose(unlike.spec)
