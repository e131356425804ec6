"""Each model is loaded in the versions that it was made in, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from fitq.environments.builder import EnvironmentFolder
from fitq.environments.matching import answers_alike, own_versions, spec_of
from fitq.records import ModelRecord, Versions
from fitq.scorer.inspection import inspect_model
from tests.conftest import eventually
from tests.scoring.conftest import TOKEN, Scoring, assert_one_error_shape, running
from tests.scoring.test_faults import expression, keep_like
from tests.scoring.test_load import samples

ROWS = load_iris().data[::10].tolist()
#: Run by the older environment: a forest with what it answers there, and models that tell where they are.
TRAIN = """
import sys, joblib, numpy, sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

class Told:
    def __init__(self, text):
        self.text = text
    def __reduce__(self):
        return eval, ("lambda rows: " + self.text,)
    def __call__(self, rows):
        return rows

rows, labels = load_iris(return_X_y=True)
forest = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)).fit(rows, labels)
joblib.dump(forest, sys.argv[1] + "/forest.joblib")
numpy.save(sys.argv[1] + "/answers.npy", forest.predict_proba(rows[::10]))
for name, text in {
    "teller": "rows * float(__import__('sklearn').__version__.split('.')[1])",
    "sleeper": "__import__('time').sleep(600) if rows[0][0] == 77 else rows",
}.items():
    joblib.dump(FunctionTransformer(Told(text)).fit(rows), sys.argv[1] + "/" + name + ".joblib")
"""


@pytest.fixture(scope="module")
def made(older: EnvironmentFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the older environment left."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([older.python, "-c", TRAIN, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def scoring(older: EnvironmentFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    """A program on a machine that has the older environment."""
    yield from running(tmp_path_factory.mktemp("models"), environments=str(older.path.parent.parent))


def keep(scoring: Scoring, made: Path, file: str, older: EnvironmentFolder, **changes: Any) -> ModelRecord:
    """Register what the older environment made, as its run would have it."""
    path = made / f"{file}.joblib"
    facts = inspect_model(path, sample_input=ROWS, interpreter=str(older.python))
    wrote = Versions(python=older.release, packages=older.packages)
    kept = {"versions": wrote, "environment": older.hash, **changes}
    return scoring.keep(kept.pop("name", file), path.read_bytes(), facts, **kept)


@pytest.fixture(scope="module")
def forest(scoring: Scoring, made: Path, older: EnvironmentFolder) -> ModelRecord:
    return keep(scoring, made, "forest", older)


def test_two_versions_are_served_at_once_and_answer_as_at_training_to_the_last_bit(
    scoring: Scoring, made: Path, forest: ModelRecord, older: EnvironmentFolder, iris: Any
) -> None:
    scoring.register("ours", iris)
    answers: dict[str, Any] = {}

    def ask(name: str) -> None:
        answers[name] = [scoring.score(name, ROWS) for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("forest", "ours")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all((np.array(a) == np.load(made / "answers.npy")).all() for a in answers["forest"])
    assert all((np.array(a) == iris.predict_proba(ROWS)).all() for a in answers["ours"])
    told = scoring.get("/models/forest").json()
    assert told["environment"] == older.hash
    assert (told["replay"]["state"], told["replay"]["exact"]) == ("same", True)
    assert told["replay"]["serving"]["packages"]["scikit-learn"] == "1.5.2"
    ours = scoring.get("/models/ours").json()
    assert ours["environment"] == ""
    assert ours["replay"]["serving"]["packages"]["scikit-learn"] != "1.5.2"
    assert scoring.service.scorer.pid != other_scorer(scoring, older).pid


def test_a_model_that_needs_more_of_its_environment_is_served_there_though_the_versions_are_ours(
    scoring: Scoring, made: Path, older: EnvironmentFolder
) -> None:
    keep(scoring, made, "teller", older, name="whole", versions=own_versions(), whole=True)
    assert scoring.score("whole", [[1.0, 2.0, 3.0, 4.0]]) == [[5.0, 10.0, 15.0, 20.0]]
    assert scoring.get("/models/whole").json()["environment"] == older.hash


def other_scorer(scoring: Scoring, older: EnvironmentFolder) -> Any:
    return scoring.service.scorers.all[older.hash]


def test_a_scorer_of_another_environment_holds_no_secret(
    scoring: Scoring, forest: ModelRecord, older: EnvironmentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.score("forest", ROWS)
    pid = other_scorer(scoring, older).pid
    seen = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"FITQ_" not in seen
    assert TOKEN.encode() not in seen
    assert Path(f"/proc/{pid}/exe").resolve() == older.python.resolve()


def test_a_scorer_that_is_killed_while_it_predicts_answers_503_and_then_recovers(
    scoring: Scoring, made: Path, forest: ModelRecord, older: EnvironmentFolder, iris: Any
) -> None:
    keep(scoring, made, "sleeper", older)
    scoring.register("untouched", iris)
    assert scoring.score("sleeper", ROWS)
    answers: list[Any] = []
    rows = [[77.0, 0.0, 0.0, 0.0]]
    asking = threading.Thread(
        target=lambda: answers.append(scoring.post("/models/sleeper/score", {"data": rows}))
    )
    asking.start()
    scorer = other_scorer(scoring, older)
    eventually(lambda: scorer.waiting >= 1)
    assert scoring.score("untouched", ROWS)
    os.killpg(scorer.pid, signal.SIGKILL)
    asking.join(30)
    told = assert_one_error_shape(answers[0], 503)
    assert "SIGKILL" in told["message"]
    assert (np.array(scoring.score("forest", ROWS)) == np.load(made / "answers.npy")).all()
    assert scoring.score("sleeper", ROWS)


def test_a_wrong_environment_is_found_out_by_the_answers(
    scoring: Scoring, made: Path, older: EnvironmentFolder
) -> None:
    """Its record says that it was made in our versions, so it is loaded in them."""
    right = keep(scoring, made, "teller", older)
    assert scoring.score("teller", [[1.0, 2.0, 3.0, 4.0]]) == [[5.0, 10.0, 15.0, 20.0]]
    wrong = keep(scoring, made, "teller", older, name="forced", versions=own_versions(), environment="")
    answer = scoring.post("/models/forced/score", {"data": ROWS})
    told = assert_one_error_shape(answer, 503)
    assert told["code"] == "model_unhealthy"
    assert "Registered with scikit-learn 1.5.2, numpy 1.26.4" in told["message"]
    assert told["serving"]["packages"]["scikit-learn"] == own_versions().packages["scikit-learn"]
    assert scoring.get("/v2/models/forced/ready").status_code == 503
    assert scoring.get("/models/forced").json()["state"] == "Unhealthy"
    assert right.sha256 == wrong.sha256


def test_a_model_whose_environment_cannot_be_had_says_so_and_what_to_choose(
    scoring: Scoring, made: Path, older: EnvironmentFolder
) -> None:
    record = keep(scoring, made, "forest", older, name="homeless", environment="0" * 64)
    told = assert_one_error_shape(scoring.post("/models/homeless/score", {"data": ROWS}), 503)
    assert "was made with scikit-learn 1.5.2" in told["message"]
    assert own_versions().packages["scikit-learn"] in told["message"]
    assert "fitq models approve homeless:1" in told["hint"]
    assert scoring.get("/models/homeless").json()["state"] == "Unhealthy"
    scoring.change(record, environment=older.hash)
    eventually(lambda: scoring.post("/models/homeless/score", {"data": ROWS}).status_code == 200)


def test_a_scorer_that_nobody_asks_ends_and_starts_again(
    made: Path, older: EnvironmentFolder, tmp_path: Path
) -> None:
    where = str(older.path.parent.parent)
    for scoring in running(tmp_path, environments=where, scorer_idle_seconds=0.2):
        keep(scoring, made, "forest", older)
        assert scoring.score("forest", ROWS)
        scorer, own = other_scorer(scoring, older), scoring.service.scorer.pid
        eventually(lambda scorer=scorer: scorer.pid is None, what="the idle scorer is gone")  # type: ignore[misc]
        assert scoring.service.scorer.pid == own
        again = eventually(lambda scoring=scoring: scoring.cold("forest", ROWS))  # type: ignore[misc]
        assert (np.array(again.json()) == np.load(made / "answers.npy")).all()
        assert float(again.headers["x-cold-start-ms"]) > 0, "it waited for a process and a model"
        told = samples(scoring, "fitq_scoring_cold_start_seconds_count")
        assert told[()] >= 2, "the first request, and the first one after the rest"


def test_a_model_that_wants_more_memory_than_it_may_have_is_answered_with_the_reason(
    tmp_path: Path, iris: Any
) -> None:
    for scoring in running(tmp_path, scorer_memory_bytes=3 << 29):
        record = scoring.register("iris", iris)
        greedy = expression("__import__('numpy').ones(500_000_000)[:1] if rows[0][0] > 9 else rows")
        keep_like(scoring, "greedy", greedy, record, "transform")
        assert scoring.score("greedy", ROWS)
        answer = scoring.post("/models/greedy/score", {"data": [[10.0, 0.0, 0.0, 0.0]]})
        told = assert_one_error_shape(answer, 503)
        assert "needs more memory than its scorer may have (1.5 GiB)" in told["message"]
        assert "FITQ_SCORER_MEMORY_BYTES" in told["hint"]
        # what else was asked of the greedy one in the background may end the next process too
        eventually(
            lambda s=scoring: s.post("/models/iris/score", {"data": ROWS}).status_code == 200,
            what="a scorer for the others",
        )


# ---------------------------------------------------------------- the decision itself


def versions(python: str = "3.11.7", **packages: str) -> Versions:
    return Versions(python=python, packages={k.replace("_", "-"): v for k, v in packages.items()})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (versions(scikit_learn="1.5.2", numpy="1.26.4"), True),
        (versions("3.11.2", scikit_learn="1.5.2", numpy="1.26.4", pandas="9"), True),
        (versions("3.12.1", scikit_learn="1.5.2", numpy="1.26.4"), False),
        (versions(scikit_learn="1.5.1", numpy="1.26.4"), False),
        (versions(scikit_learn="1.5.2", numpy="1.26.3"), False),
        (versions("", scikit_learn="1.5.2"), True),  # no more is known of a file
        (versions("", scikit_learn="1.5.1"), False),
        (versions(""), True),
    ],
)
def test_what_decides_is_scikit_learn_numpy_and_the_minor_version_of_python(
    other: Versions, expected: bool
) -> None:
    mine = versions(scikit_learn="1.5.2", numpy="1.26.4")
    assert answers_alike(other, mine) is expected


def test_the_smallest_environment_has_what_models_are_made_of_as_it_was_recorded() -> None:
    spec = spec_of(versions("3.6.15", scikit_learn="0.24.2", numpy="1.19.5", flask="2", joblib="1.1.1"))
    assert spec.requirements == ["joblib==1.1.1", "numpy==1.19.5", "scikit-learn==0.24.2"]
    assert (spec.python, spec.strict) == ("==3.6.*", True)


@pytest.mark.parametrize(
    ("scikit_learn", "numpy", "python"),
    [
        ("0.24.2", "numpy<1.20", ">=3.6,<3.10"),
        ("1.0.2", "numpy<1.23", ">=3.7,<3.11"),
        ("1.2.2", "numpy<2", ">=3.8,<3.13"),
        ("1.5.2", "numpy", ">=3.9"),
        ("1.10.dev0", "numpy", ">=3.9"),
    ],
)
def test_a_file_of_which_only_scikit_learn_is_known_gets_a_numpy_of_its_time(
    scikit_learn: str, numpy: str, python: str
) -> None:
    spec = spec_of(versions("", scikit_learn=scikit_learn))
    assert spec.requirements == ["joblib", numpy, "pandas", f"scikit-learn=={scikit_learn}"]
    assert spec.python == python
