"""Wrong requests: a clear 4xx with one shape, that says what, where, and what to send instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.conftest import TOKEN, Scoring, assert_explained, assert_one_error_shape, running

GOOD = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, iris: Any) -> Iterator[Scoring]:
    for scoring in running(tmp_path_factory.mktemp("models"), body_bytes=20_000, score_rows=50):
        scoring.register("iris", iris)
        yield scoring


BODIES = [
    (b"", 400, "POST body is empty. Expecting a JSON dictionary."),
    (b"  \n", 400, "POST body is empty. Expecting a JSON dictionary."),
    (b"[[1,2,3,4]]", 400, "POST body should be a JSON dictionary."),
    (b"\xef\xbb\xbf{}", 400, "byte order mark"),
    (b"5", 400, "POST body should be a JSON dictionary."),
    (b"null", 400, "POST body should be a JSON dictionary."),
    (b"{}", 400, "A value is not provided for the 'data' parameter."),
    (b'{"rows": [[1,2,3,4]]}', 400, "A value is not provided for the 'data' parameter."),
    (b'{"data": [[1,2,3,4]]', 400, "The body is not JSON"),
    (b'{"data": [[1,2,3,NaN]]}', 400, "The body is not JSON"),
    (b'{"data": [[1,2,3,Infinity]]}', 400, "The body is not JSON"),
    (b'{"data": [[1,2,3,1e400]]}', 400, "out of range"),
    (b'{"data": [[1,2,3,"\xff"]]}', 400, "The body is not JSON"),
    # How deep is too deep depends on the version of Python; either way it is refused in words.
    (b'{"data": ' + b"[" * 9000 + b"]" * 9000 + b"}", 400, ""),
    (b'{"data": [[1,2,3,' + b"9" * 5000 + b"]]}", 400, ""),
    (b'{"data": [[1,2,3,4]], "extra": 1}', 400, "unknown field 'extra'"),
    (b'{"data": [[1,2,3,4]], "instances": [[1,2,3,4]]}', 400, "send one of them"),
    (b'{"data": [[1,2,3,"4"]]}', 400, "row 0, column 3"),
    (b'{"data": [[1,2,3,9007199254740993]]}', 400, "row 0, column 3"),
    (b'{"data": [[1,2,3]]}', 400, "Row 0"),
    (b'{"data": [1,2,3,4]}', 400, "Row 0"),
    (b'{"data": []}', 400, "There are no rows."),
    (b'{"data": null}', 400, "$.data must be a list of rows."),
    (b'{"data": [[1,2,3,4]], "method": "fit"}', 400, "It has: predict_proba, predict"),
    (b'{"data": [[1,2,3,4]], "method": 5}', 400, "has no method"),
    (b'{"data": [[1,2,3,4]], "data": [[1,2,3,5]]}', 400, "The field 'data' is there twice, in $."),
    (
        b'{"data": [[1,2,3,4]], "method": "predict", "meth\\u006fd": "predict"}',
        400,
        "'method' is there twice",
    ),
    (b'{"data": [' + b"[1,2,3,4]," * 40 + b'[1,2,3,4]], "method": "fit", "method": "predict"}', 400, "twice"),
    (
        b'{"instances": [{"a": 1, "b": {"c": 1, "c": 2}}]}',
        400,
        "The field 'c' is there twice, in $.instances[0].b.",
    ),
    (
        b'{"inputs": [{"name": "x", "name": "y", "shape": [1,4], "datatype": "FP64", "data": [1,2,3,4]}]}',
        400,
        "The field 'name' is there twice, in $.inputs[0].",
    ),
    # What is deep beside large numbers is as deep.
    (b'{"data": [' + b"[1,2,3,4]," * 40 + b'[1,2,3,4]], "x": ' + b"[" * 500 + b"]" * 500 + b"}", 400, ""),
    (json.dumps({"data": [GOOD] * 51}).encode(), 413, "51 rows"),
    (b'{"data": "' + b"x" * 30_000 + b'"}', 413, "larger than 20000 bytes"),
]


@pytest.mark.parametrize(("body", "status", "message"), BODIES, ids=range(len(BODIES)))
def test_a_wrong_body_is_explained(served: Scoring, body: bytes, status: int, message: str) -> None:
    answer = served.post("/models/iris/score", content=body, headers={"content-type": "application/json"})
    assert message in assert_one_error_shape(answer, status)["message"]
    assert_explained(served, answer)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/models/iris/score", 405),
        ("DELETE", "/models/iris/score", 405),
        ("POST", "/models/iris", 405),
        ("POST", "/healthz", 405),
        ("GET", "/models/irsi/score", 404),
        ("POST", "/models/irsi/score", 404),
        ("POST", "/models/iris/versions/7/score", 404),
        ("POST", "/models/iris/versions/none/score", 404),
        ("POST", "/models/iris/versions/²/score", 400),
        ("POST", "/models/iris/versions/99999999999999999999/score", 400),
        ("POST", "/models/..%2F..%2Fetc/score", 404),
        ("POST", "/models/%20/score", 400),
        ("POST", f"/models/{'x' * 300}/score", 400),
        ("GET", "/models/iris/swagger.json?version=4", 404),
        ("POST", "/models/iris/score/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/models", 404),
        ("POST", "/v2/models/iris/nothing", 404),
    ],
)
def test_a_wrong_address_or_verb_has_the_one_body(served: Scoring, verb: str, path: str, status: int) -> None:
    answer = served.client.request(verb, path, headers={"authorization": f"Bearer {TOKEN}"})
    told = assert_one_error_shape(answer, status)
    assert {"expected", "got", "at", "curl"} <= told.keys()
    assert told.get("error") == (told["message"] if path.startswith("/v2") else None)


def test_a_refusal_says_which_model_it_is_about(served: Scoring, iris: Any) -> None:
    record = served.register("cold", iris)
    first, again = (served.post("/models/cold/score", {"data": [["x"] * 4]}) for _ in range(2))
    assert first.headers["x-fitq-model"] == again.headers["x-fitq-model"] == record.id
    assert float(first.headers["x-cold-start-ms"]) > 0
    assert "x-cold-start-ms" not in again.headers
    assert "x-fitq-model" not in served.post("/models/cold/score", {}, token=None).headers


def test_the_wrong_verb_is_told_in_azures_words(served: Scoring) -> None:
    told = served.get("/models/iris/score")
    assert told.json()["message"] == "Method not allowed"
    assert told.headers["allow"] == "POST"
    assert_explained(served, told)
    assert served.client.options("/models/iris/score").status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_media_type_is_refused(served: Scoring, kind: str) -> None:
    answer = served.post("/models/iris/score", content=b"{}", headers={"content-type": kind})
    told = assert_one_error_shape(answer, 415)
    assert told["message"] == "Expects Content-Type to be application/json"
    assert told["got"] == kind
    assert_explained(served, answer)


def test_a_near_miss_of_a_name_is_suggested(served: Scoring) -> None:
    told = served.post("/models/irsi/score", {"data": [GOOD]}).json()
    assert "Did you mean 'iris'" in told["message"]
    assert "Versions: 1" in served.post("/models/iris/versions/7/score", {"data": [GOOD]}).json()["message"]


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x"])
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/models/iris/score"),
        ("POST", "/models/unknown/score"),
        ("GET", "/models/iris"),
        ("GET", "/models/iris/swagger.json"),
        ("POST", "/v1/models/iris:predict"),
        ("GET", "/v1/models/iris"),
        ("POST", "/models/iris/invocations"),
        ("POST", "/api/v1/service/unknown/score"),
    ],
)
def test_without_the_token_nothing_is_told(served: Scoring, token: str | None, verb: str, path: str) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    answer = served.client.request(verb, path, headers=headers)
    told = assert_one_error_shape(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    assert {"expected", "got", "at", "curl"} <= told.keys()


def test_a_program_without_a_token_opens_to_nobody(tmp_path: Path) -> None:
    for scoring in running(tmp_path):
        scoring.service.settings = type(scoring.service.settings)(token="")
        assert scoring.post("/models/iris/score", token="").status_code == 401


def test_request_ids_are_echoed_made_and_bounded(served: Scoring) -> None:
    given = served.post("/models/iris/score", {"data": [GOOD]}, headers={"x-request-id": "my-id"})
    assert given.headers["x-request-id"] == "my-id"
    made = served.post("/models/iris/score", {"data": [GOOD]})
    assert len(made.headers["x-request-id"]) == 36
    exactly = served.post("/models/iris/score", {"data": [GOOD]}, headers={"x-request-id": "x" * 100})
    assert exactly.status_code == 200
    longer = served.post("/models/iris/score", {"data": [GOOD]}, headers={"x-request-id": "x" * 101})
    assert_one_error_shape(longer, 431)
    assert_explained(served, longer)


def test_open_addresses_need_no_token(served: Scoring) -> None:
    assert served.client.get("/").text == "Healthy"
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert served.client.get("/readyz").status_code == 200
    assert "fitq_scoring_requests_total" in served.client.get("/metrics").text
