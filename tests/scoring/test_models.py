"""Every kind of scikit-learn model answers, as itself would."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bodies_lab.kinds import Kind
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from tests.conftest import eventually
from tests.scoring.conftest import Scoring, assert_one_error_shape, running
from tests.scoring.test_batch import settled

IRIS, LABELS = load_iris(return_X_y=True)
TEN = IRIS[::15].tolist()


def test_a_logistic_regression_answers_probabilities(scoring: Scoring, iris: Any) -> None:
    scoring.register("iris", iris)
    assert np.allclose(scoring.score("iris", TEN), iris.predict_proba(TEN), rtol=0, atol=1e-15)
    assert scoring.score("iris", TEN, method="predict") == iris.predict(TEN).tolist()
    assert np.allclose(scoring.score("iris", TEN, method="decision_function"), iris.decision_function(TEN))


def test_a_forest_fitted_with_many_jobs_answers_the_same_with_one(scoring: Scoring) -> None:
    model = RandomForestClassifier(20, n_jobs=2, random_state=0).fit(IRIS, LABELS)
    scoring.register("forest", model)
    assert np.allclose(scoring.score("forest", TEN), model.predict_proba(TEN))


def test_a_classifier_without_probabilities_predicts(scoring: Scoring) -> None:
    record = scoring.register("svc", SVC().fit(IRIS, LABELS))
    assert record.default_method == "predict"
    assert "predict_proba" not in record.methods
    assert scoring.score("svc", TEN) == SVC().fit(IRIS, LABELS).predict(TEN).tolist()


def test_string_labels_come_back_whole(scoring: Scoring) -> None:
    labels = np.array(["setosa", "versicolor", "virginica ♥ and more"], dtype=object)[LABELS]
    model = SVC().fit(IRIS, labels)
    scoring.register("species", model)
    assert scoring.score("species", TEN) == model.predict(TEN).tolist()
    assert scoring.register("species", model).classes == ["setosa", "versicolor", "virginica ♥ and more"]


PEOPLE = pd.DataFrame(
    {"age": [20.0, 30, 40, 50, 60, 70], "city": ["Rome", "Oslo", "Rome", "Bonn", "Oslo", "Bonn"],
     "floor": [1, 2, 3, 1, 2, 3]}
)  # fmt: skip
BOUGHT = [0, 1, 0, 1, 1, 0]


def people_model() -> Any:
    columns = ColumnTransformer(
        [("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
         ("city", OneHotEncoder(), ["city"]), ("floor", OneHotEncoder(handle_unknown="ignore"), ["floor"])]
    )  # fmt: skip
    return make_pipeline(columns, LogisticRegression()).fit(PEOPLE, BOUGHT)


def test_a_pipeline_fitted_on_a_frame_with_texts_takes_rows_and_records(scoring: Scoring) -> None:
    model = people_model()
    record = scoring.register("people", model)
    assert record.input_schema is not None
    assert [(c.name, c.kind) for c in record.input_schema.columns] == [
        ("age", "number"), ("city", "string"), ("floor", "integer")
    ]  # fmt: skip
    expected = model.predict_proba(PEOPLE)
    assert np.allclose(scoring.score("people", PEOPLE.values.tolist()), expected)
    assert np.allclose(scoring.score("people", PEOPLE.to_dict("records")), expected)


def test_missing_values_are_taken_where_the_pipeline_imputes_them(scoring: Scoring) -> None:
    record = scoring.register("imputing", people_model())
    assert record.input_schema is not None
    assert record.input_schema.columns[0].nullable
    assert not record.input_schema.columns[1].nullable
    assert scoring.score("imputing", [[None, "Rome", 1]])
    refused = scoring.post("/models/imputing/score", {"data": [[20, None, 1]]}).json()
    assert refused["at"] == "row 0, column 1 (city)"


def test_boosting_answers_the_same_bits_with_and_without_missing_values(scoring: Scoring) -> None:
    """Rows are announced as checked exactly when nothing is missing in them."""
    model = HistGradientBoostingClassifier(max_iter=20).fit(IRIS, LABELS)
    record = scoring.register("boosted", model)
    assert record.input_schema is not None
    assert all(c.nullable for c in record.input_schema.columns)
    holes = [[None, *row[1:]] for row in TEN]
    for rows in (TEN, holes, TEN[:1], holes[:1], TEN * 3, holes + TEN, TEN[:1]):
        expected = model.predict_proba(np.array(rows, dtype=float)).tolist()
        assert scoring.score("boosted", rows) == expected
    announced = scoring.service.scorer._headers["boosted:1", "predict_proba"]
    assert b'"checked":true' in announced.usual
    assert b'"checked":false' in announced.missing


def test_columns_that_the_model_drops_need_not_be_sent(scoring: Scoring) -> None:
    frame = PEOPLE.assign(note=["a", "b", "c", "d", "e", "f"], size=1.0)
    numbers = ColumnTransformer([("age", StandardScaler(), ["age"])])
    model = make_pipeline(numbers, LogisticRegression()).fit(frame, BOUGHT)
    record = scoring.register("dropping", model)
    assert record.input_schema is not None
    assert [c.name for c in record.input_schema.columns] == ["age"]
    assert np.allclose(scoring.score("dropping", [[20.0], [70.0]]), model.predict_proba(frame)[[0, 5]])


def test_a_text_pipeline_takes_a_list_of_texts(scoring: Scoring) -> None:
    texts = ["good fine great", "bad awful", "great good", "awful poor bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    record = scoring.register("mood", model)
    assert record.input_schema is not None
    assert record.input_schema.layout == "texts"
    assert np.allclose(scoring.score("mood", texts), model.predict_proba(texts))
    assert scoring.post("/models/mood/score", {"data": [["good"]]}).status_code == 400


def test_a_text_column_in_a_frame_is_a_string_column(scoring: Scoring) -> None:
    frame = pd.DataFrame({"note": ["good", "bad", "good one", "bad one"], "size": [1.0, 2, 3, 4]})
    columns = ColumnTransformer([("note", TfidfVectorizer(), "note")], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, [1, 0, 1, 0])
    scoring.register("notes", model)
    assert np.allclose(scoring.score("notes", frame.to_dict("records")), model.predict_proba(frame))


def test_a_regressor_answers_numbers(scoring: Scoring) -> None:
    rows, target = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(rows, target)
    scoring.register("diabetes", model)
    assert np.allclose(scoring.score("diabetes", rows[:5].tolist()), model.predict(rows[:5]))


def test_several_outputs_answer_one_entry_per_row(scoring: Scoring) -> None:
    both = np.column_stack([LABELS, LABELS == 0])
    model = MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(IRIS, both)
    scoring.register("multi", model)
    answer = scoring.score("multi", TEN)
    assert len(answer) == len(TEN)
    first, second = model.predict_proba(TEN)
    assert np.allclose(answer[3][0], first[3])
    assert np.allclose(answer[3][1], second[3])
    assert scoring.score("multi", TEN, method="predict") == model.predict(TEN).tolist()


def test_a_clusterer_predicts_and_transforms(scoring: Scoring) -> None:
    model = KMeans(3, n_init=1, random_state=0).fit(IRIS)
    scoring.register("clusters", model)
    assert scoring.score("clusters", TEN) == model.predict(TEN).tolist()
    assert np.allclose(scoring.score("clusters", TEN, method="transform"), model.transform(TEN))


@pytest.mark.parametrize(
    "model", [IsolationForest(n_estimators=10, random_state=0), LocalOutlierFactor(novelty=True)]
)
def test_an_outlier_detector_predicts(scoring: Scoring, model: Any) -> None:
    name = type(model).__name__
    scoring.register(name, model.fit(IRIS))
    assert scoring.score(name, TEN) == model.predict(TEN).tolist()
    assert np.allclose(scoring.score(name, TEN, method="score_samples"), model.score_samples(TEN))


@pytest.mark.parametrize(
    "model",
    [BayesianRidge(), make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=0.1))],
    ids=["linear", "pipeline"],
)
def test_a_regressor_that_knows_how_sure_it_is_tells_it_when_asked(scoring: Scoring, model: Any) -> None:
    model.fit(IRIS, LABELS)
    name = f"sure-{type(model).__name__}"
    assert scoring.register(name, model).default_method == "predict"
    mean, std = model.predict(TEN, return_std=True)
    assert np.allclose(scoring.score(name, TEN), mean)
    assert np.allclose(scoring.score(name, TEN, method="predict_with_std"), np.column_stack([mean, std]))


def test_several_outputs_have_a_deviation_each(scoring: Scoring) -> None:
    both = np.column_stack([LABELS, -LABELS])
    model = GaussianProcessRegressor(alpha=0.1).fit(IRIS, both)
    scoring.register("sure-of-both", model)
    mean, std = model.predict(TEN, return_std=True)
    got = scoring.score("sure-of-both", TEN, method="predict_with_std")
    assert np.allclose(got, np.stack([mean, std], axis=1))


def test_a_model_that_does_not_know_how_sure_it_is_says_what_it_has(scoring: Scoring) -> None:
    scoring.register("unsure", LinearRegression().fit(IRIS, LABELS))
    answer = scoring.post("/models/unsure/score", {"data": TEN, "method": "predict_with_std"})
    told = assert_one_error_shape(answer, 400)
    assert told["message"] == "Model 'unsure' has no method 'predict_with_std'. It has: predict."


def test_dates_that_are_predicted_are_texts(scoring: Scoring) -> None:
    days = np.array(["2024-02-29", "2024-12-31"], dtype="datetime64[D]")[LABELS[:100]]
    scoring.register("days-ahead", DummyClassifier(strategy="most_frequent").fit(IRIS[:100], days))
    assert scoring.score("days-ahead", TEN[:1], method="predict") == ["2024-02-29"]


def test_a_transformer_alone_transforms(scoring: Scoring) -> None:
    model = StandardScaler().fit(IRIS)
    record = scoring.register("scaler", model)
    assert record.default_method == "transform"
    assert np.allclose(scoring.score("scaler", TEN), model.transform(TEN))


def test_missing_values_in_an_answer_are_null(scoring: Scoring) -> None:
    scoring.register("scaling", StandardScaler().fit(IRIS))
    answer = scoring.post("/models/scaling/score", {"data": [[None, 1, 1, 1]]})
    assert answer.status_code == 200
    assert answer.json()[0][0] is None


def test_a_sparse_answer_is_written_out(scoring: Scoring) -> None:
    model = OneHotEncoder().fit([["a"], ["b"]])
    scoring.register("sparse", model)
    assert scoring.score("sparse", [["b"]]) == [[0.0, 1.0]]


def test_a_model_fitted_on_an_object_array_takes_its_texts(scoring: Scoring) -> None:
    rows = np.array([["a", 1.0], ["b", 2.0], ["a", 3.0], ["b", 4.0]], dtype=object)
    columns = ColumnTransformer([("letter", OneHotEncoder(), [0])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(rows, [0, 1, 0, 1])
    scoring.register("objects", model)
    assert np.allclose(scoring.score("objects", rows.tolist()), model.predict_proba(rows))


def test_a_sample_decides_what_the_model_does_not_tell(scoring: Scoring) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, LABELS)
    record = scoring.register("sampled", model, sample_input=[[5.1, 3, 1.4, 0.2], [6, 3, 4, 1]])
    assert record.input_schema is not None
    assert record.input_schema.source == "sample_input"
    assert record.input_schema.example == [[5.1, 3, 1.4, 0.2], [6, 3, 4, 1]]
    assert {c.kind for c in record.input_schema.columns} == {"number"}


def test_what_cannot_be_scored_is_kept_and_says_so(scoring: Scoring) -> None:
    record = scoring.register("table", {"not": "a model"})
    assert record.input_schema is None
    assert "cannot be scored" in record.warnings[0]
    answer = scoring.post("/models/table/score", {"data": [[1]]})
    assert answer.status_code == 422
    assert "cannot be scored" in answer.json()["message"]
    assert scoring.get("/models/table").status_code == 200


def test_models_beyond_the_memory_bound_take_turns_and_all_answer(tmp_path: Path) -> None:
    """The bound is smaller than any model, so each load unloads what is not being loaded itself."""
    for scoring in running(tmp_path, models_memory_bytes=1):
        rows = [[float(i)] for i in range(6)]
        for i in range(3):
            scoring.register(f"times-{i}", LinearRegression().fit(rows, [i * row[0] for row in rows]))
        asked = [i % 3 for i in range(60)]
        with ThreadPoolExecutor(8) as pool:
            told = [pool.submit(scoring.score, f"times-{i}", [[2.0]], method="predict") for i in asked]
        answers = [t.result()[0] for t in told]
        assert np.allclose(answers, [2.0 * i for i in asked], atol=1e-9)
        assert scoring.service.scorer.evictions > 0
        link = scoring.service.scorer._link
        eventually(
            lambda link=link: len(link.models) < 3, what="what was loaded last has taken another's place"
        )


def test_of_three_models_where_two_fit_the_one_not_asked_for_the_longest_is_unloaded(tmp_path: Path) -> None:
    padding = 8_000_000
    for scoring in running(tmp_path):
        scorer = scoring.service.scorer

        def ask(name: str) -> None:
            """Once nothing more is asked of it in the background."""
            scoring.score(name, [[1.0]], method="predict")  # noqa: B023
            settled(scoring, name, "predict")  # noqa: B023

        for name in "abc":
            model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
            model.padding = name.encode() * padding
            scoring.serve(Kind(name, model, [[1.0]]))
        ask("a")
        ask("b")
        scorer._models_bytes = sum(scorer.loaded_bytes.values()) + padding - 1  # no room for a third
        ask("a")
        ask("c")
        asked: Any = scoring.client.portal
        assert asked.call(scorer.ping)["models"] == ["a:1", "c:1"]
        assert "fitq_scoring_model_evictions_total 1.0" in scoring.get("/metrics").text
