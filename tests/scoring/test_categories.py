"""Columns of categories: the schema tells what `fit` saw; the door refuses what the model would refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from fitq.records import Column
from tests.scoring.conftest import Scoring

TOWNS = ["Bonn", "Oslo", "Rome"]
FRAME = pd.DataFrame({"town": TOWNS * 4, "floor": [1, 2, 3, 2] * 3, "age": np.arange(12.0)})
LABELS = [0, 1, 1] * 4


def registered(scoring: Scoring, name: str, *encoders: Any, frame: pd.DataFrame = FRAME) -> dict[str, Column]:
    columns = ColumnTransformer(list(encoders), remainder="passthrough")
    record = scoring.register(name, make_pipeline(columns, LogisticRegression()).fit(frame, LABELS))
    assert record.input_schema is not None
    return {c.name: c for c in record.input_schema.columns}


def refusal(scoring: Scoring, name: str, rows: list[Any]) -> dict[str, Any]:
    answer = scoring.post(f"/models/{name}/score", {"data": rows})
    assert answer.status_code == 400, answer.text
    return dict(answer.json())


def test_the_categories_that_fit_saw_are_told(scoring: Scoring) -> None:
    found = registered(scoring, "told", ("town", OneHotEncoder(), ["town"]),
                       ("floor", OneHotEncoder(handle_unknown="ignore"), ["floor"]))  # fmt: skip
    assert (found["town"].categories, found["town"].refuses_others) == (TOWNS, True)
    assert (found["floor"].categories, found["floor"].refuses_others) == ([1, 2, 3], False)
    assert (found["age"].categories, found["age"].refuses_others) == ([], False)
    shown = scoring.get("/models/told").json()["input_schema"]["columns"]
    assert shown[0]["categories"] == TOWNS
    assert scoring.post("/models/told/score", {"data": [["Rome", 99, 1.0]]}).status_code == 200


def test_a_value_that_the_model_does_not_know_is_named_with_its_row_and_column(scoring: Scoring) -> None:
    registered(scoring, "known", ("town", OneHotEncoder(), ["town"]))
    told = refusal(scoring, "known", [["Rome", 1, 1.0], ["Romee", 1, 1.0]])
    assert told["at"] == "row 1, column 0 (town)"
    assert told["expected"] == 'one of "Bonn", "Oslo", "Rome"'
    assert told["got"] == 'the string "Romee"'
    assert "Did you mean 'Rome'?" in told["message"]
    by_name = refusal(scoring, "known", [{"age": 1.0, "floor": 1, "town": "Paris"}])
    assert by_name["at"] == "row 0, column 0 (town)"


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_the_swagger_lists_them_where_others_are_refused(scoring: Scoring, version: str) -> None:
    registered(scoring, "listed", ("town", OrdinalEncoder(), ["town"]),
               ("floor", OneHotEncoder(handle_unknown="ignore"), ["floor"]))  # fmt: skip
    document = scoring.get(f"/models/listed/swagger.json?version={version}").text
    assert document.count('"enum":["Bonn","Oslo","Rome"]') >= 1
    assert '"enum":[1,2,3]' not in document


def test_numbers_can_be_categories_too(scoring: Scoring) -> None:
    codes = np.array([[1.0, 0.5], [2.0, 1.5], [4.0, 2.5]] * 4)
    columns = ColumnTransformer([("code", OneHotEncoder(), [0])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(codes, LABELS)
    record = scoring.register("codes", model)
    assert record.input_schema is not None
    assert record.input_schema.columns[0].categories == [1.0, 2.0, 4.0]
    for rows in ([[2, 1.5]], [[2, 1.5]] * 40):
        assert np.allclose(scoring.score("codes", rows), model.predict_proba(rows))
        told = refusal(scoring, "codes", [*rows, [3, 1.5]])
        assert told["at"] == f"row {len(rows)}, column 0"
        assert told["expected"] == "one of 1.0, 2.0, 4.0"
    tensor = {"name": "rows", "shape": [1, 2], "datatype": "FP64", "data": [3, 1.5]}
    assert scoring.post("/v2/models/codes/infer", {"inputs": [tensor]}).status_code == 400


def test_a_step_that_changes_values_before_they_are_encoded_hides_the_categories(scoring: Scoring) -> None:
    sizes = np.array([[1.0], [-2.0], [3.0]] * 4)
    model = make_pipeline(FunctionTransformer(np.abs), OneHotEncoder(), LogisticRegression()).fit(
        sizes, LABELS
    )
    record = scoring.register("sizes", model, sample_input=[[1.0]])
    assert record.input_schema is not None
    assert record.input_schema.columns[0].categories == []
    assert np.allclose(scoring.score("sizes", [[-3.0]]), model.predict_proba([[-3.0]]))


def test_imputed_columns_take_null_beside_their_categories(scoring: Scoring) -> None:
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    found = registered(scoring, "imputed", ("town", encoder, ["town"]))
    assert (found["town"].categories, found["town"].nullable) == (TOWNS, True)
    assert scoring.score("imputed", [[None, 1, 1.0], ["Rome", 1, 1.0]])
    told = refusal(scoring, "imputed", [[None, 1, 1.0], ["Paris", 1, 1.0]])
    assert told["expected"] == 'one of "Bonn", "Oslo", "Rome", or null'


def test_encoders_that_know_different_values_leave_the_decision_to_the_model(scoring: Scoring) -> None:
    fewer = OneHotEncoder(categories=[["Oslo", "Rome"]], handle_unknown="ignore")
    both = make_union(OneHotEncoder(), fewer)
    model = make_pipeline(both, LogisticRegression()).fit(FRAME[["town"]], LABELS)
    record = scoring.register("differing", model)
    assert record.input_schema is not None
    assert record.input_schema.columns[0].categories == []
    assert scoring.post("/models/differing/score", {"data": [["Bonn"]]}).status_code == 200
    assert "Paris" in refusal(scoring, "differing", [["Paris"]])["message"]


def test_of_very_many_categories_the_model_itself_is_asked(scoring: Scoring) -> None:
    many = pd.DataFrame({"code": [f"code {i}" for i in range(1200)], "x": np.arange(1200.0)})
    columns = ColumnTransformer([("code", OneHotEncoder(), ["code"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(many, [0, 1] * 600)
    record = scoring.register("many", model)
    assert record.input_schema is not None
    assert record.input_schema.columns[0].categories == []
    assert "code 7000" in refusal(scoring, "many", [["code 7000", 1.0]])["message"]


def test_words_of_texts_are_no_categories(scoring: Scoring) -> None:
    found = registered(scoring, "words", ("town", TfidfVectorizer(), "town"))
    assert found["town"].categories == []
    assert scoring.post("/models/words/score", {"data": [["Paris and Rome", 1, 1.0]]}).status_code == 200


def test_boosting_fitted_on_pandas_categories_takes_strings(scoring: Scoring) -> None:
    frame = FRAME.assign(town=FRAME["town"].astype("category"))
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1, categorical_features="from_dtype")
    model.fit(frame, LABELS)
    record = scoring.register("boosted-towns", model)
    assert record.input_schema is not None
    town, _, age = record.input_schema.columns
    assert (town.kind, town.categories, town.refuses_others) == ("string", TOWNS, False)
    assert age.kind == "number"
    rows = frame.astype({"town": object}).to_dict("records")
    assert scoring.score("boosted-towns", rows) == model.predict_proba(frame).tolist()


def test_columns_that_are_chosen_by_a_mask_are_found(scoring: Scoring) -> None:
    found = registered(scoring, "masked", ("town", OneHotEncoder(), np.array([True, False, False])))
    assert found["town"].categories == TOWNS
