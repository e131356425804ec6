# ruff: noqa: E501  the table reads best with one script per line
"""What a script fits and does not save is kept all the same, and nothing that it can see is different."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitq import registry
from fitq.backend import Backend
from fitq.errors import NotFound
from fitq.isolation.ladder import Ladder
from fitq.records import RegisterRequest, Registration
from fitq.settings import Settings
from fitq.worker.folder import Program
from fitq.worker.process import adopt_orphans
from fitq.worker.runtime import OWN
from fitq.worker.starter import Starter
from tests.test_execute import Bench

IRIS = (
    "from sklearn.datasets import load_iris\nfrom sklearn.svm import SVC\nX, y = load_iris(return_X_y=True)\n"
)
#: Name → (code, the class that is captured or "").
SCRIPTS = {
    "fits and prints": (IRIS + "m = SVC().fit(X, y)\nprint(m.score(X, y), m)", "SVC"),
    "fits in a function": (IRIS + "def main():\n    SVC(probability=False).fit(X, y)\nmain()", "SVC"),
    "searches": (IRIS + "from sklearn.model_selection import GridSearchCV\nprint(GridSearchCV(SVC(), {'C': [1, 2]}, cv=2).fit(X, y).best_params_)", "GridSearchCV"),
    "fits a pipeline": (IRIS + "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\nmake_pipeline(StandardScaler(), SVC()).fit(X, y)", "Pipeline"),
    "fits inside the arguments of a fit": (IRIS + "from sklearn.preprocessing import StandardScaler\nSVC().fit(StandardScaler().fit_transform(X), y)", "SVC"),
    "fits something for a picture afterwards": (IRIS + "from sklearn.decomposition import PCA\nSVC().fit(X, y)\nPCA(2).fit(X)", "SVC"),
    "fits a class of its own": (IRIS + "class Mine(SVC):\n    def fit(self, X, y):\n        print('mine')\n        return super().fit(X, y)\nMine().fit(X, y)", "Mine"),
    "clusters": (IRIS + "from sklearn.cluster import KMeans\nprint(KMeans(3, n_init=1, random_state=0).fit_predict(X)[:5])", "KMeans"),
    "fits texts": ("from sklearn.pipeline import make_pipeline\nfrom sklearn.feature_extraction.text import TfidfVectorizer\nfrom sklearn.naive_bayes import MultinomialNB\nmake_pipeline(TfidfVectorizer(), MultinomialNB()).fit(['good day', 'bad day'], [1, 0])", "Pipeline"),
    "fits by keyword": (IRIS + "SVC().fit(X=X, y=y)", "SVC"),
    "saves its model": (IRIS + "import joblib\njoblib.dump(SVC().fit(X, y), 'outputs/m.joblib')", ""),
    "fits nothing": (IRIS + "print(hasattr(SVC(), 'fit'), SVC.fit.__name__, SVC().get_params()['C'])", ""),
    "fails in fit": (IRIS + "SVC().fit(X, y[:3])", ""),
    "fails after fit": (IRIS + "SVC().fit(X, y)\n1 / 0", "SVC"),
    "prints a traceback of fit": (IRIS + "import traceback\ntry:\n    SVC().fit(X[0], y)\nexcept ValueError:\n    traceback.print_exc()\nSVC().fit(X, y)", "SVC"),
    "pickles": (IRIS + "import pickle, hashlib\nm = SVC().fit(X, y)\nprint(hashlib.sha256(pickle.dumps(m)).hexdigest(), pickle.dumps(SVC), pickle.dumps(SVC.fit))", "SVC"),
    "is profiled": (IRIS + "import sys\nseen = []\nsys.setprofile(lambda f, e, a: seen.append(e))\nSVC().fit(X, y)\nsys.setprofile(None)\nprint(len(seen) > 9)", ""),
    "fits in processes": (IRIS + "from joblib import Parallel, delayed\ndef f(c): return SVC(C=c).fit(X, y).score(X, y)\nif __name__ == '__main__': print(Parallel(n_jobs=2)(delayed(f)(c) for c in (1, 2)))", ""),
    "looks at signatures": (IRIS + "import inspect\nprint(inspect.signature(SVC.fit), inspect.signature(SVC().fit), SVC.fit.__doc__[:20], callable(SVC.fit), SVC.fit is SVC.__mro__[2].fit)", ""),
    "looks at score": (IRIS + "import inspect\nfrom sklearn.pipeline import Pipeline, make_pipeline\nfrom sklearn.preprocessing import StandardScaler\nprint(inspect.signature(SVC.score), inspect.signature(Pipeline.score), hasattr(make_pipeline(StandardScaler()), 'score'), SVC.score.__name__)\ntry:\n    make_pipeline(StandardScaler()).score(X)\nexcept AttributeError as e:\n    print(e)\nimport pickle; print(pickle.dumps(SVC.score), hasattr(SVC(), 'set_score_request'))", ""),
    "fails in score": (IRIS + "SVC().fit(X, y).score(X, y[:3])", "SVC"),
    "exits": (IRIS + "import sys\nSVC().fit(X, y)\nsys.exit('done')", "SVC"),
}  # fmt: skip


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    adopt_orphans()
    starter = Starter()
    starter.keep_warm()
    assert starter.wait_until_warm(60)
    yield starter
    starter.close()


class Place:
    """A folder in which one script runs with and without capture."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        (folder / "outputs").mkdir()
        (folder / "train.py").write_text(code)

    def run(self, starter: Starter | None, capture: str) -> tuple[str, int]:
        """Merged output and exit code."""
        environment = {
            **OWN.variables(), "FITQ_RUN_ID": "capture-1", "FITQ_RUN_FOLDER": str(self.folder),
            "FITQ_OUTPUTS": str(self.folder / "outputs"), "FITQ_CAPTURE": capture,
        }  # fmt: skip
        command = [sys.executable, "-u", "train.py"]
        program = Program(command=command, modules=self.folder)
        plan = Ladder().plan("capture-1", folder=self.folder, scratch=self.folder)
        process = (starter or Starter()).start(program, cwd=self.folder, environment=environment, plan=plan)
        pieces: list[bytes] = []
        while not process.poll():
            pieces.append(process.read(0.05))
        process.sweep(pieces.append)
        assert process.exit_code is not None
        return b"".join(pieces).decode(), process.exit_code

    @property
    def captured(self) -> str:
        """The class of the model that was kept."""
        told = self.folder / "captured" / "fit.json"
        kept = (self.folder / "captured" / "model.joblib").is_file()
        return json.loads(told.read_text())["estimator"].rpartition(".")[2] if kept else ""


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_sees_no_difference(tmp_path: Path, starter: Starter, name: str) -> None:
    code, captured = SCRIPTS[name]
    place = Place(tmp_path, code)
    without = place.run(starter, "0")
    assert place.captured == ""
    (tmp_path / "outputs" / "m.joblib").unlink(missing_ok=True)
    assert place.run(starter, "1") == without
    assert place.captured == captured


@pytest.mark.parametrize("name", ["searches", "fails after fit", "fits in processes"])
def test_nor_in_a_fresh_interpreter(tmp_path: Path, name: str) -> None:
    code, captured = SCRIPTS[name]
    place = Place(tmp_path, code)
    without = place.run(None, "0")
    assert place.run(None, "1") == without
    assert place.captured == captured


def test_what_fit_saw_is_told(tmp_path: Path, starter: Starter) -> None:
    place = Place(
        tmp_path,
        "import pandas as pd, numpy as np\nfrom sklearn.ensemble import HistGradientBoostingClassifier as H\n"
        "df = pd.DataFrame({'age': [20, 30, 40] * 20, 'size': [1.5, np.nan, 3.0] * 20})\n"
        "H(max_iter=2).fit(df, [0, 1, 1] * 20)\n",
    )
    assert place.run(starter, "1") == ("", 0)
    seen = json.loads((tmp_path / "captured" / "fit.json").read_text())
    assert seen["shape"] == [60, 2]
    assert seen["columns"] == [
        {"name": "age", "dtype": "int64", "missing": 0, "low": 20, "high": 40},
        {"name": "size", "dtype": "float64", "missing": 20, "low": 1.5, "high": 3.0},
    ]
    assert len(seen["rows"]) == 32
    assert {"age": 30, "size": None} in seen["rows"]


SCORED = {
    "a classifier": ("m = SVC().fit(X, y)\nsaid = m.score(X, y), m.score(X[:9], y[:9])"),
    "a pipeline": ("m = make_pipeline(StandardScaler(), SVC()).fit(X, y)\nsaid = [m.score(X, y)]"),
    "a search": ("m = GridSearchCV(SVC(), {'C': [1, 2]}, cv=2).fit(X, y)\nsaid = [m.score(X, y)]"),
    "a clustering": ("m = KMeans(3, n_init=1, random_state=0).fit(X)\nsaid = [m.score(X)]"),
    "a class of its own": ("class Mine(SVC): pass\nm = Mine().fit(X, y)\nsaid = [m.score(X, y)]"),
    "with a fit in its arguments": (
        "m = SVC().fit(X, y)\nhasattr(m, 'score')\nsaid = [m.score(StandardScaler().fit_transform(X), y)]"
    ),
    "one after another": ("SVC(C=0.1).fit(X, y).score(X, y)\nm = SVC().fit(X, y)\nsaid = [m.score(X, y)]"),
    "nothing": ("m = SVC().fit(X, y)\ncross_val_score(m, X, y, cv=2)\nsaid = []"),
}


@pytest.mark.parametrize(
    ("name", "is_warm"), [*((name, True) for name in SCORED), ("a pipeline", False), ("a clustering", False)]
)
def test_what_score_answered_is_told(tmp_path: Path, starter: Starter, name: str, is_warm: bool) -> None:
    imports = (
        "from sklearn.cluster import KMeans\nfrom sklearn.model_selection import GridSearchCV, cross_val_score\n"
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\n"
    )
    place = Place(tmp_path, IRIS + imports + SCORED[name] + "\nprint([float(one) for one in said])")
    said, _ = place.run(starter if is_warm else None, "1")
    assert json.loads((tmp_path / "captured" / "fit.json").read_text())["scores"] == json.loads(said)


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path, starter: Starter) -> Bench:
    (tmp_path / "sources").mkdir()
    Path(settings.work_dir).mkdir()
    return Bench(backend, settings, tmp_path / "sources", starter)


TABLE = (
    "import pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n"
    "df = pd.DataFrame({'age': [20, 30, 40] * 20, 'size': [1.5, 2.5, 3.0] * 20})\n"
    "LogisticRegression().fit(df, [0, 1, 1] * 20)\n"
)


def test_a_model_that_was_not_saved_is_registered_without_a_path(bench: Bench) -> None:
    run = bench.run(TABLE)
    assert bench.files(run) == ["captured/fit.json", "captured/model.joblib", "user_logs/std_log.txt"]
    model = registry.register(bench.backend, RegisterRequest(name="flowers", run=run.id))
    assert (model.path, model.estimator) == ("captured/model.joblib", "LogisticRegression")
    assert model.input_schema is not None
    assert [(c.name, c.kind, c.nullable) for c in model.input_schema.columns] == [
        ("age", "integer", False),
        ("size", "number", False),
    ]


def test_a_submitter_who_asks_for_a_model_gets_the_captured_one(bench: Bench) -> None:
    run = bench.run(TABLE, register=[Registration(name="flowers")])
    assert run.warnings == []
    versions = bench.backend.catalog.versions("flowers")
    assert versions == [1]


def test_a_run_may_say_that_nothing_is_captured(bench: Bench) -> None:
    run = bench.run(TABLE, environment_variables={"FITQ_CAPTURE": "0"})
    assert bench.files(run) == ["user_logs/std_log.txt"]
    with pytest.raises(NotFound):
        registry.register(bench.backend, RegisterRequest(name="flowers", run=run.id))
