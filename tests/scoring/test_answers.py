"""Good requests: wire formats, headers, versions, endpoints, Swagger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import openapi_spec_validator
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from fitq.credentials import endpoint_key
from fitq.store.keys import ObjectKeys
from tests.conftest import eventually
from tests.scoring.conftest import IRIS_NAMES, Scoring, assert_explained, assert_one_error_shape, running

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.8, 1.8]]
SECRET = b"s" * 32


@pytest.fixture(scope="module")
def named() -> Any:
    rows, labels = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=1000).fit(pd.DataFrame(rows, columns=IRIS_NAMES), labels)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, iris: Any, named: Any) -> Iterator[Scoring]:
    for scoring in running(tmp_path_factory.mktemp("models")):
        scoring.register("iris", iris)
        scoring.register("named", named)
        scoring.objects.put(ObjectKeys("default").endpoint_secret(), SECRET)
        yield scoring


def test_an_answer_says_who_gave_it_and_how_long_it_took(served: Scoring, iris: Any) -> None:
    record = served.register("fresh", iris)
    first = served.post("/models/fresh/score", {"data": ROWS})
    again = served.post("/models/fresh/score", {"data": ROWS})
    assert first.headers["x-fitq-model"] == record.id == "fresh:1"
    assert float(first.headers["x-ms-run-fn-exec-ms"]) > 0
    assert float(first.headers["x-cold-start-ms"]) > 0
    assert "x-cold-start-ms" not in again.headers
    assert again.headers["content-type"] == "application/json"


RECORDS = [dict(zip(IRIS_NAMES, row, strict=True)) for row in ROWS]
SPLIT = {"columns": list(reversed(IRIS_NAMES)), "index": [0, 1], "data": [row[::-1] for row in ROWS]}
COLUMNS = {name: [row[i] for row in ROWS] for i, name in enumerate(IRIS_NAMES)}


@pytest.mark.parametrize(
    "body",
    [
        {"data": ROWS},
        {"data": RECORDS},
        {"input_data": SPLIT},
        {"input_data": ROWS},
        {"instances": ROWS},
        {"instances": RECORDS},
        {"inputs": ROWS},
        {"inputs": COLUMNS},
        {"dataframe_split": SPLIT},
        {"dataframe_records": RECORDS},
    ],
    ids=lambda body: f"{next(iter(body))}-{type(next(iter(body.values()))).__name__}",
)
def test_every_wire_format_is_told_by_its_key(served: Scoring, named: Any, body: dict[str, Any]) -> None:
    answer = served.post("/models/named/score", body)
    assert answer.status_code == 200, answer.text
    got = answer.json()["predictions"] if isinstance(answer.json(), dict) else answer.json()
    assert np.allclose(got, named.predict_proba(pd.DataFrame(RECORDS)))
    labels = served.post("/models/named/score", {**body, "method": "predict"}).json()
    assert (labels["predictions"] if isinstance(labels, dict) else labels) == [0, 2]


def test_kserve_has_its_own_address(served: Scoring, iris: Any) -> None:
    answer = served.post("/v1/models/iris:predict", {"instances": ROWS})
    assert np.allclose(answer.json()["predictions"], iris.predict_proba(ROWS))
    assert served.get("/v1/models/iris").json() == {"name": "iris", "ready": True}
    told = assert_one_error_shape(served.post("/v1/models/iris:predict", {"data": ROWS}), 400)
    assert told["message"] == "A value is not provided for the 'instances' parameter."


def test_mlflow_has_its_own_address(served: Scoring) -> None:
    answer = served.post("/models/named/invocations", {"dataframe_split": SPLIT, "method": "predict"})
    assert answer.json() == {"predictions": [0, 2]}
    assert served.get("/models/named/ping").status_code == 200
    assert_one_error_shape(served.post("/models/named/invocations", {"data": ROWS}), 400)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"inputs": {"sepal_length": [1], "sepal_width": 2}}, "$.inputs"),
        ({"inputs": {"sepal_length": [1]}}, "columns"),
        ({"dataframe_split": {"columns": 5, "data": ROWS}}, "$.dataframe_split"),
        ({"dataframe_split": {"columns": IRIS_NAMES}}, "$.dataframe_split"),
        ({"dataframe_records": [{"sepal_length": 1}]}, "row 0"),
        ({"input_data": {"columns": [*IRIS_NAMES[:3], []], "data": ROWS}}, "columns"),
        ({"instances": [[1, 2, 3, "4"]]}, "row 0, column 3 (petal_width)"),
    ],
)
def test_what_is_wrong_in_other_formats_is_named_too(served: Scoring, body: Any, at: str) -> None:
    told = assert_one_error_shape(served.post("/models/named/score", body), 400)
    assert told["at"] == at


def test_a_version_and_an_alias_stay_where_they_point(served: Scoring, iris: Any, named: Any) -> None:
    served.register("steps", iris)
    assert served.post("/models/steps/score", {"data": ROWS}).headers["x-fitq-model"] == "steps:1"
    served.register("steps", named)
    served.alias("steps", "live", 1)

    def newest() -> bool:
        answer = served.post("/models/steps/score", {"data": ROWS})
        return bool(answer.headers["x-fitq-model"] == "steps:2")

    eventually(newest, what="the newest version answers")
    pinned = served.post("/models/steps/versions/1/score", {"data": ROWS})
    assert pinned.headers["x-fitq-model"] == "steps:1"
    by_alias = served.post("/models/steps/versions/live/score", {"data": ROWS})
    assert by_alias.headers["x-fitq-model"] == "steps:1"
    served.alias("steps", "live", 2)
    eventually(
        lambda: (
            served.post("/models/steps/versions/live/score", {"data": ROWS}).headers["x-fitq-model"]
            == "steps:2"
        ),
        what="the alias is followed",
    )


def test_a_new_version_answers_within_a_second(served: Scoring, iris: Any) -> None:
    """The quickest of a few tries, so that a machine that is busy with other things is no failure."""
    served.register("followed", iris)
    served.post("/models/followed/score", {"data": ROWS})

    def waited(version: int) -> float:
        began = time.monotonic()
        served.register("followed", iris)
        eventually(
            lambda: (
                served.post("/models/followed/score", {"data": ROWS}).headers["x-fitq-model"]
                == f"followed:{version}"
            )
        )
        return time.monotonic() - began

    assert any(waited(version) < 1.0 for version in range(2, 8))


def test_an_endpoint_opens_to_its_keys_and_the_platforms_token(served: Scoring) -> None:
    served.deploy("flowers", "iris", {"1": 100})
    path = "/api/v1/service/flowers/score"
    keys = [endpoint_key(SECRET, "flowers", which, 1) for which in ("primary", "secondary")]
    for key in keys:
        answer = served.post(path, {"data": ROWS}, token=key)
        assert answer.status_code == 200, answer.text
        assert served.get("/api/v1/service/flowers/swagger.json", token=key).status_code == 200
        assert_one_error_shape(served.post("/models/iris/score", {"data": ROWS}, token=key), 401)
    assert served.post(path, {"data": ROWS}).status_code == 200
    other = endpoint_key(SECRET, "others", "primary", 1)
    for wrong in (other, endpoint_key(SECRET, "flowers", "primary", 2), "", None, keys[0][:-1]):
        assert_one_error_shape(served.post(path, {"data": ROWS}, token=wrong), 401)


def test_a_rotated_key_stops_opening(served: Scoring) -> None:
    served.deploy("rotated", "iris", {"1": 100})
    old = endpoint_key(SECRET, "rotated", "primary", 1)
    path = "/api/v1/service/rotated/score"
    assert served.post(path, {"data": ROWS}, token=old).status_code == 200
    served.deploy("rotated", "iris", {"1": 100}, key_generations={"primary": 2, "secondary": 1})
    new = endpoint_key(SECRET, "rotated", "primary", 2)
    assert served.post(path, {"data": ROWS}, token=new).status_code == 200
    assert served.post(path, {"data": ROWS}, token=old).status_code == 401
    served.objects.delete(ObjectKeys("default").endpoint("rotated"))
    assert served.post(path, {"data": ROWS}, token=new).status_code == 401
    assert served.post(path, {"data": ROWS}).status_code == 404


def test_an_endpoint_may_be_open_or_only_for_the_token(served: Scoring) -> None:
    served.deploy("opened", "iris", {"1": 100}, auth="none")
    served.deploy("closed", "iris", {"1": 100}, auth="token")
    assert served.post("/api/v1/service/opened/score", {"data": ROWS}, token=None).status_code == 200
    key = endpoint_key(SECRET, "closed", "primary", 1)
    assert served.post("/api/v1/service/closed/score", {"data": ROWS}, token=key).status_code == 401
    assert served.post("/api/v1/service/closed/score", {"data": ROWS}).status_code == 200


def test_what_an_endpoint_refuses_is_explained_with_its_own_address(served: Scoring) -> None:
    served.deploy("refusing", "iris", {"1": 100})
    answer = served.post("/api/v1/service/refusing/score", {"data": [[1, 2, 3, "4"]]})
    assert_one_error_shape(answer, 400)
    assert_explained(served, answer)


def test_traffic_is_split_between_versions(served: Scoring, iris: Any) -> None:
    first = served.register("split", iris)
    served.keep("split", served.objects.get(first.object_key) or b"", first)
    served.deploy("splitting", "split", {"1": 50, "2": 50, "3": 0}, method="predict")
    answers = [served.post("/api/v1/service/splitting/score", {"data": ROWS}) for _ in range(60)]
    assert {a.headers["x-fitq-model"] for a in answers} == {"split:1", "split:2"}
    assert answers[0].json() == [0, 2]


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_the_swagger_of_an_endpoint_is_its_models_at_its_own_address(served: Scoring, version: str) -> None:
    served.deploy("flowery", "iris", {"1": 100}, method="predict")
    found = served.get(f"/api/v1/service/flowery/swagger.json?version={version}").json()
    openapi_spec_validator.validate(found)
    operations = {path: next(iter(verbs.values())) for path, verbs in found["paths"].items()}
    assert {path: o["operationId"] for path, o in operations.items()} == {
        "/": "ServiceHealthCheck",
        "/api/v1/service/flowery/score": "RunMLService",
        "/api/v1/service/flowery/swagger.json": "GetSwaggerSpec",
    }
    schemas = found["definitions"] if version == "2" else found["components"]["schemas"]
    assert schemas.keys() == {"ServiceInput", "ServiceOutput", "ErrorResponse", "RefusalResponse"}
    assert schemas["ServiceInput"]["properties"]["method"]["default"] == "predict"
    answer = served.post("/api/v1/service/flowery/score", schemas["ServiceInput"]["example"])
    assert answer.json() == schemas["ServiceOutput"]["example"]


def test_the_default_swagger_is_version_2(served: Scoring) -> None:
    document = served.get("/models/iris/swagger.json").json()
    assert document["swagger"] == "2.0"
    assert document["securityDefinitions"]["Bearer"]["name"] == "Authorization"
    rows = document["definitions"]["ServiceInput"]["properties"]["data"]
    assert rows["format"] == "numpy.ndarray"
    assert rows["items"]["items"] == {"type": "number", "format": "double"}


def test_a_model_describes_itself(served: Scoring) -> None:
    told = served.get("/models/iris").json()
    assert told["name"] == "iris"
    assert told["version"] == 1
    assert told["all_versions"] == [1]
    assert told["state"] == "Healthy"
    assert told["methods"][0] == told["default_method"] == "predict_proba"
    assert told["classes"] == [0, 1, 2]
    assert told["input_schema"]["columns"][0]["kind"] == "number"
    assert served.get("/models/iris/versions/1").json()["id"] == "iris:1"
