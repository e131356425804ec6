"""A model answers as it did when it was registered, or not at all."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler
from sklearn.svm import SVC

from fitq.records import ModelRecord, Versions, from_json, to_json
from fitq.scorer.golden import Answer, Golden, compared
from tests.conftest import eventually
from tests.scoring.conftest import KEYS, Scoring, assert_one_error_shape, looked_into, saved
from tests.scoring.test_faults import expression

ROWS = [[5.1, 3.5, 1.4, 0.2]]
#: far from zero and from each other, so that rows around zero would reach one leaf and one class only
FAR = np.array([1e3, -50.0, 0.1, 7.0])


def golden_of(scoring: Scoring, record: ModelRecord) -> Golden:
    data = scoring.objects.get(KEYS.model_golden(record.name, record.golden))
    assert data is not None
    return from_json(data, Golden)


def rows_of(golden: Golden) -> Any:
    return np.frombuffer(golden.payload, golden.rows["dtype"]).reshape(golden.rows["shape"])


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(SimpleImputer(), RobustScaler(), KNeighborsClassifier()),
        make_pipeline(MinMaxScaler(), SVC()),
        make_pipeline(PCA(), GaussianNB()),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=5),
        HistGradientBoostingClassifier(max_iter=5),
        GaussianNB(),
        KNeighborsClassifier(),
        SVC(gamma="auto"),
        KMeans(3, n_init=1, random_state=0),
    ],
    ids=lambda m: "-".join(type(s).__name__ for s in (m[i] for i in range(len(m)))) if hasattr(m, "steps")
    else type(m).__name__,
)  # fmt: skip
def test_recorded_rows_are_like_those_that_fit_saw(tmp_path: Path, model: Any) -> None:
    """Most drawn rows lie within what the training rows span, and they reach more than one class."""
    rows, labels = load_iris(return_X_y=True)
    rows = rows * FAR
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(model.fit(rows, labels)))
    golden = looked_into(path, None).golden
    assert golden is not None
    drawn = rows_of(golden)
    spread = rows.max(axis=0) - rows.min(axis=0)
    within = (drawn > rows.min(axis=0) - spread) & (drawn < rows.max(axis=0) + spread)
    with np.errstate(invalid="ignore"):
        assert within[np.isfinite(drawn)].mean() > 0.9
    answer = golden.answers["predict"]
    [spec] = answer.described["arrays"]
    assert len(np.unique(np.frombuffer(answer.data, spec["dtype"]))) > 1
    assert golden.count == 32


def test_categories_words_and_missing_values_are_among_the_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "town": ["Rome", "Oslo", None, "Lima"] * 5,
        "age": [30.0, 40.0, np.nan, 50.0] * 5,
        "note": ["red apple", "green pear", "old plum", "new fig"] * 5,
    })  # fmt: skip
    model = make_pipeline(
        ColumnTransformer([
            ("town", OneHotEncoder(handle_unknown="ignore"), ["town"]),
            ("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("note", TfidfVectorizer(), "note"),
        ]),
        LogisticRegression(),
    ).fit(frame, [0, 1] * 10)  # fmt: skip
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(model))
    golden = looked_into(path, None).golden
    assert golden is not None
    towns, ages, notes = json.loads(golden.payload)
    assert {"Rome", "Oslo", "Lima", None} == set(towns) | {None}
    assert None in ages
    assert {"apple", "plum"} <= set(notes)
    assert all(-100 < a < 200 for a in ages if a is not None)


def test_given_rows_are_recorded_first(tmp_path: Path, iris: Any) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(iris))
    golden = looked_into(path, [[float(i), 3.0, 1.0, 0.2] for i in range(5)]).golden
    assert golden is not None
    assert golden.source == "given and drawn"
    assert rows_of(golden)[:5, 0].tolist() == [0, 1, 2, 3, 4]
    assert golden.count == 32


def test_a_model_that_answers_as_recorded_says_so(scoring: Scoring, iris: Any) -> None:
    record = scoring.register("same", iris)
    scoring.score("same", ROWS)
    told = scoring.get("/models/same").json()
    assert told["state"] == "Healthy"
    assert told["replay"]["state"] == "same"
    assert told["replay"]["exact"] is True
    assert told["replay"]["rows"] == 32
    assert set(told["replay"]["methods"]) == set(record.methods)
    assert told["replay"]["registered"] == told["replay"]["serving"]


@pytest.fixture
def skewed(scoring: Scoring, iris: Any, request: pytest.FixtureRequest) -> ModelRecord:
    """A model whose file answers otherwise than its record says, as if other versions served it."""
    name = f"skewed-{abs(hash(request.node.name))}"
    record = scoring.register(f"{name}-right", iris)
    rows, labels = load_iris(return_X_y=True)
    wrong = LogisticRegression(C=0.5, max_iter=1000).fit(rows, labels)
    golden = golden_of(scoring, record)
    older = Versions(python="3.6.15", packages={"scikit-learn": "0.24.2", "numpy": "1.19.5"})
    facts = record_like(record, golden, older)
    return scoring.keep(name, saved(wrong), facts)


def record_like(record: ModelRecord, golden: Golden, versions: Versions) -> Any:
    class Facts:
        pass

    facts = Facts()
    for name in ("estimator", "methods", "default_method", "input_schema", "classes", "warnings"):
        setattr(facts, name, getattr(record, name))
    facts.versions = record.versions  # type: ignore[attr-defined]
    facts.golden = Golden(  # type: ignore[attr-defined]
        rows=golden.rows, payload=golden.payload, count=golden.count, source=golden.source,
        answers=golden.answers, versions=versions,
    )  # fmt: skip
    return facts


def test_a_model_that_answers_otherwise_is_unhealthy_and_answers_nothing(
    scoring: Scoring, skewed: ModelRecord
) -> None:
    for path, body in [
        (f"/models/{skewed.name}/score", {"data": ROWS}),
        (f"/v1/models/{skewed.name}:predict", {"instances": ROWS}),
        (f"/models/{skewed.name}/invocations", {"inputs": ROWS}),
    ]:
        answer = scoring.post(path, body)
        told = assert_one_error_shape(answer, 503)
        assert told["code"] == "model_unhealthy"
        assert "scikit-learn 0.24.2, numpy 1.19.5, Python 3.6.15" in told["message"]
        assert told["difference"]["row"] >= 0
        assert len(told["difference"]["input"]) == 4
        assert told["registered"]["packages"]["scikit-learn"] == "0.24.2"
        assert told["serving"]["packages"]["scikit-learn"] != "0.24.2"
        assert f"fitq models approve {skewed.id}" in told["hint"]
        assert "retry-after" not in answer.headers
    shown = scoring.get(f"/models/{skewed.name}").json()
    assert shown["state"] == "Unhealthy"
    assert shown["replay"]["state"] == "different"
    assert shown["replay"]["difference"] == told["difference"]
    ready = scoring.get(f"/v2/models/{skewed.name}/ready")
    assert (ready.status_code, ready.json()["ready"], ready.json()["state"]) == (503, False, "Unhealthy")
    assert "0.24.2" in ready.json()["message"]
    assert scoring.get(f"/models/{skewed.name}/swagger.json").status_code == 200


def test_an_operator_can_have_it_served_all_the_same_and_everybody_sees_that(
    scoring: Scoring, skewed: ModelRecord
) -> None:
    path = f"/models/{skewed.name}/score"
    assert scoring.post(path, {"data": ROWS}).status_code == 503
    scoring.change(skewed, tolerated=True)
    answer = eventually(lambda: ok(scoring.post(path, {"data": ROWS})))
    assert "answers otherwise than when it was registered" in answer.headers["x-fitq-warning"]
    shown = scoring.get(f"/models/{skewed.name}").json()
    assert (shown["state"], shown["tolerated"], shown["replay"]["state"]) == ("Healthy", True, "different")
    scoring.change(skewed, tolerated=False)
    eventually(lambda: scoring.post(path, {"data": ROWS}).status_code == 503)


def ok(answer: Any) -> Any:
    return answer if answer.status_code == 200 else None


def test_a_model_is_asked_again_after_its_process_was_replaced(scoring: Scoring, iris: Any) -> None:
    """Whatever changes between two loads, the second one is checked like the first."""
    record = scoring.register("again-asked", iris)
    scoring.score("again-asked", ROWS)
    rows, labels = load_iris(return_X_y=True)
    served = scoring.service.models._served[("again-asked", 1)]
    served.file.path.write_bytes(saved(LogisticRegression(C=0.5, max_iter=1000).fit(rows, labels)))
    os.kill(scoring.service.scorer.pid, signal.SIGKILL)
    answer = eventually(lambda: gone_on(scoring.post("/models/again-asked/score", {"data": ROWS})))
    assert assert_one_error_shape(answer, 503)["code"] == "model_unhealthy"
    assert scoring.get("/models/again-asked").json()["state"] == "Unhealthy"
    served.file.path.write_bytes(saved(iris))
    assert record.golden


def gone_on(answer: Any) -> Any:
    """The answer, unless it only says that the process has just ended."""
    return None if answer.json().get("code") == "unavailable" else answer


def test_a_model_that_answers_at_random_is_served_and_says_so(scoring: Scoring) -> None:
    model = expression("rows + __import__('numpy').random.rand(*rows.shape)")
    record = scoring.register("random", model, [[1.0, 2.0]])
    assert any("transform answers otherwise each time" in w for w in record.warnings)
    assert len(scoring.score("random", [[1.0, 2.0]])) == 1
    assert scoring.get("/models/random").json()["replay"]["random"] == ["transform"]


def test_answers_that_are_lost_or_changed_in_the_store_are_not_passed_over(
    scoring: Scoring, iris: Any
) -> None:
    for name, data, status, said in [
        ("lost-golden", None, 500, "no longer in the object store"),
        ("changed-golden", b"{}", 503, "/models/changed-golden/golden/"),
    ]:
        record = scoring.register(name, iris)
        key = KEYS.model_golden(name, record.golden)
        if data is None:
            scoring.objects.delete(key)
        else:
            scoring.objects.put(key, data)
        told = assert_one_error_shape(scoring.post(f"/models/{name}/score", {"data": ROWS}), status)
        assert said in told["message"]


def test_a_model_without_recorded_answers_is_served_and_says_so(scoring: Scoring, iris: Any) -> None:
    record = scoring.register("before", iris)
    scoring.change(record, golden="")
    assert scoring.score("before", ROWS)
    assert scoring.get("/models/before").json()["replay"] == {"state": "not recorded"}


def recorded(values: Any) -> Answer:
    array = np.asarray(values)
    spec = {"dtype": array.dtype.str, "shape": list(array.shape)}
    return Answer(described={"arrays": [spec], "several": False}, data=array.tobytes())


def difference(old: Answer, new: Answer) -> tuple[int | None, bool]:
    """(row, exact) of two answers to two rows."""
    rows = {"layout": "matrix", "dtype": "<f8", "shape": [3, 1], "names": []}
    golden = Golden(
        rows=rows, payload=np.zeros((3, 1)).tobytes(), count=3, source="drawn", answers={"predict": old}
    )
    replay = compared(golden, {"predict": new}, Versions())
    assert from_json(to_json(golden), Golden) == golden
    return (replay.difference.row if replay.difference else None), replay.exact


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], (None, True)),
        ([1.0, 2.0, 3.0], [1.0, 2.0 + 1e-12, 3.0], (None, False)),
        ([1.0, 2.0, 3.0], [1.0, 2.0 + 1e-7, 3.0], (1, False)),
        ([1.0, 1e-17, 3.0], [1.0, -1e-17, 3.0], (None, False)),  # what is left of a sum that cancels out
        ([1e15, 1.0, 1.0], [1e15, 1.001, 1.0], (1, False)),  # one huge answer does not hide the others
        ([1.0, np.nan, 3.0], [1.0, np.nan, 3.0], (None, True)),
        ([1.0, np.nan, 3.0], [1.0, 2.0, 3.0], (1, False)),
        (np.array([1, 2, 3], "f4"), np.array([1, 2.000001, 3], "f4"), (None, False)),
        (np.array([1, 2, 3], "f4"), np.array([1, 2.001, 3], "f4"), (1, False)),
        ([0, 1, 2], [0, 1, 1], (2, False)),
        (np.array([0, 1, 2], "i4"), np.array([0, 1, 2], "i8"), (None, False)),
        (["a", "b", "c"], ["a", "b", "ccc"], (2, False)),
        (np.array(["a", "b", "c"], "U1"), np.array(["a", "b", "c"], "U9"), (None, False)),
        ([0, 1, 2], [0.0, 1.0, 2.0], (0, False)),
        ([[1.0, 2.0]] * 3, [[1.0]] * 3, (0, False)),
    ],
)  # fmt: skip
def test_what_counts_as_another_answer(old: Any, new: Any, expected: tuple[int | None, bool]) -> None:
    assert difference(recorded(old), recorded(new)) == expected


def test_answers_that_are_no_arrays_are_compared_as_they_are() -> None:
    old = Answer(described={"json": True}, data=b'["a", null, [1, 2]]')
    new = Answer(described={"json": True}, data=b'["a", null, [1, 3]]')
    assert difference(old, old) == (None, True)
    assert difference(old, new) == (2, False)
