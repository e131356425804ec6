"""The doctor's tables against what is installed: every row is run, and what it raises diagnosed."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from fitq.isolation.ladder import UNCONFINED
from fitq.worker.doctor import diagnosis, tables
from fitq.worker.doctor.tables import Name, Removed
from fitq.worker.folder import Program
from fitq.worker.starter import Starter
from fitq.worker.std_log import StdLog
from tests.doctor.conftest import Clinic, a_run

#: numpy 2.0 gave these names a new meaning; in 1.24 to 1.26 they are gone.
BACK_AGAIN = {"numpy.bool", "numpy.long"}
ROWS = [r for r in tables.removed() if f"{r.path}.{r.name}" not in BACK_AGAIN]
DATA = "[[0.], [1.]] * 10, [0, 1] * 10"
OBJECTS = {
    "numpy.ndarray": "numpy.array([1.0])",
    "pandas.DataFrame": "pandas.DataFrame({'a': [1]})",
    "pandas.Series": "pandas.Series([1])",
    "pandas.DatetimeIndex": "pandas.date_range('2020-01-01', periods=2)",
    "pandas.DatetimeProperties": "pandas.Series(pandas.date_range('2020-01-01', periods=2)).dt",
    "scipy.sparse.csr_matrix": "scipy.sparse.csr_matrix([[1.0]])",
    "sklearn.compose.ColumnTransformer": "sklearn.compose.ColumnTransformer([])",
    "sklearn.model_selection.GridSearchCV": (
        f"sklearn.model_selection.GridSearchCV(sklearn.svm.SVC(), {{'C': [1]}}).fit({DATA})"
    ),
}
ARGUMENTS = {
    "read_csv": "'rows.csv'", "concat": "[]", "to_datetime": "'2020-01-01'", "cg": "1, 1",
    "check_array": "[[1]]", "groupby": "'a'", "RANSACRegressor": "", "cross_val_score": "1, 1",
    "cross_validate": "1, 1", "cross_val_predict": "1, 1", "GridSearchCV": "sklearn.svm.SVC(), {}",
    "RandomizedSearchCV": "sklearn.svm.SVC(), {}",
}  # fmt: skip


def written(row: Name) -> str:
    """A line as a script would have it."""
    path, name = row.path, row.name
    if path in OBJECTS and not row.keyword:
        return f"{OBJECTS[path]}.{name}"
    if row.owner[:1].isupper():
        made = OBJECTS.get(path) or f"{path}()" + (f".fit({DATA})" if name.endswith("_") else "")
        call = f"({ARGUMENTS.get(name, '')}, {row.keyword}=None)" if row.keyword else ""
        return f"{made}.{name}{call}".replace("(, ", "(")
    if row.value:
        base = "sklearn.svm.SVC()" if name == "CalibratedClassifierCV" else ""
        return f"{path}.{name}({base}, {row.keyword}={row.value}).fit({DATA})".replace("(, ", "(")
    if row.keyword:
        given = ARGUMENTS.get(name, "" if name.strip("_")[0].isupper() else "[1.0], [1.0]")
        return f"{path}.{name}({given}, {row.keyword}=None)".replace("(, ", "(")
    return f"from {path} import {name}" if "." in path or path != "numpy" else f"{path}.{name}"


LIBRARIES = """
numpy numpy.random pandas scipy.sparse.linalg scipy.stats scipy.signal sklearn.calibration sklearn.cluster
sklearn.compose sklearn.decomposition sklearn.ensemble sklearn.feature_extraction.text sklearn.impute
sklearn.linear_model sklearn.manifold sklearn.metrics sklearn.model_selection sklearn.multioutput
sklearn.naive_bayes sklearn.preprocessing sklearn.svm sklearn.tree sklearn.utils
"""
RUN_ALL = f"""
import json, linecache, traceback, warnings
import {", ".join(LIBRARIES.split())}
warnings.simplefilter('ignore')
for n, line in enumerate(json.load(open('lines.json'))):
    print('row', n, flush=True)
    linecache.cache[f'row{{n}}.py'] = (1, None, [line], f'row{{n}}.py')
    try:
        exec(compile(line, f'row{{n}}.py', 'exec'))
        print('it works')
    except Exception:
        traceback.print_exc()
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory, warm: Starter) -> list[list[str]]:
    """What each row printed when it was run."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "lines.json").write_text(json.dumps([written(row) for row in ROWS]))
    (folder / "rows.csv").write_text("a\n1\n")
    (folder / "rows.py").write_text(RUN_ALL)
    program = Program(command=[sys.executable, "-u", "rows.py"], modules=folder)
    environment = {"FITQ_RUN_ID": "rows", "PATH": "/usr/bin:/bin"}
    log = StdLog(folder / "log", max_bytes=10_000_000)
    process = warm.start(program, cwd=folder, environment=environment, plan=UNCONFINED)
    Clinic.end_of(process, log)
    assert process.exit_code == 0, log.tail()[-5:]
    parts = (folder / "log").read_text().split("\nrow ")
    assert len(parts) == len(ROWS)
    return [part.splitlines() for part in parts]


def test_what_the_table_calls_removed_is_removed_and_recognised(logs: list[list[str]]) -> None:
    wrong = [
        f"{written(row)}: {fault}" for row, log in zip(ROWS, logs, strict=True) if (fault := _fault(row, log))
    ]
    assert wrong == []


def _fault(row: Removed, log: list[str]) -> str:
    """What is wrong with a row, going by what happened when it was run."""
    if "it works" in log:
        return "it still works in the version that is installed"
    failure = diagnosis.examine(diagnosis.Case(run=a_run(), exit_code=1, lines=tuple(log)))
    said = f"is gone since {row.package} {row.gone_in}; this run had {row.package} "
    named = (row.keyword or row.name) in failure.message
    return "" if named and said in failure.message else f"{log[-1]} was taken for: {failure.message}"


def test_every_row_says_what_to_use_instead() -> None:
    for row in tables.removed():
        assert row.instead
        assert tables.number(row.gone_in) > (0,)
    assert len({(r.path, r.name, r.keyword, r.value) for r in tables.removed()}) == len(tables.removed())


def test_an_environment_is_named_only_if_it_still_has_the_name() -> None:
    assert tables.environment_with("numpy", "1.24") == "--environment AzureML-Tutorial"
    assert tables.environment_with("numpy", "2.0") == "--environment azureml-sklearn-1.5"
    assert tables.environment_with("scikit-learn", "1.2") == "--environment AzureML-sklearn-1.0"
    assert tables.environment_with("scikit-learn", "1.3") == "--environment AzureML-Tutorial"
    assert tables.environment_with("scikit-learn", "0.23") == "one with scikit-learn<0.23"
    assert tables.environment_with("pandas", "2.0") == "--environment AzureML-Tutorial"


def test_what_came_later_is_there_now() -> None:
    import importlib

    for row in tables.added():
        package = importlib.import_module(
            row.path.rpartition(".")[0] if row.owner[:1].isupper() else row.path
        )
        owner = getattr(package, row.owner) if row.owner[:1].isupper() else package
        try:
            found = getattr(owner, row.name)
        except AttributeError:
            found = importlib.import_module(f"{row.path}.{row.name}")
        if row.keyword:
            import inspect

            assert row.keyword in inspect.signature(found).parameters


def test_the_tables_are_in_order_and_without_doubles() -> None:
    for name in ("packages", "former_modules"):
        with Path(tables.__file__).with_name("data").joinpath(f"{name}.csv").open() as file:
            modules = [row["module"] for row in csv.DictReader(file)]
        assert len(modules) == len(set(modules))
    assert tables.package_of("yaml") == "PyYAML"
    assert tables.package_of("sklearn.svm") == "scikit-learn"
    assert tables.package_of("google.cloud.storage.blob") == "google-cloud-storage"
    assert tables.package_of("unknown.part") == "unknown"


def test_a_row_is_read_as_it_is_written() -> None:
    row = next(r for r in tables.removed() if r.value == "'mse'")
    assert row == Removed(
        path="sklearn.tree", name="DecisionTreeRegressor", keyword="criterion", value="'mse'",
        package="scikit-learn", gone_in="1.2", instead="criterion='squared_error'",
    )  # fmt: skip
    assert row.shown == "DecisionTreeRegressor(criterion='mse')"
