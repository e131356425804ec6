"""Data over HTTP, as whoever has only curl sends it."""

from __future__ import annotations

import hashlib

from starlette.testclient import TestClient

from tests.api.conftest import refused


def test_files_of_a_form_become_a_version(api: TestClient) -> None:
    files = [("file", ("a.csv", b"1")), ("file", ("b.csv", b"22"))]
    made = api.post("/v1/data", data={"metadata": '{"name": "rows"}'}, files=files)
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/data/rows/versions/1"
    body = made.json()
    assert (body["id"], body["is_folder"], body["size_bytes"], body["file_count"]) == ("rows:1", True, 3, 2)
    assert api.get("/v1/data").json()["data"][0]["versions"] == [1]
    one = api.get("/v1/data/rows/versions/1/files/b.csv")
    assert (one.content, one.headers["content-length"]) == (b"22", "2")
    assert "attachment" in one.headers["content-disposition"]


def test_parts_are_sent_before_what_they_make(api: TestClient) -> None:
    sha256 = hashlib.sha256(b"x").hexdigest()
    asked = {"name": "rows", "files": [{"path": "a", "size_bytes": 1, "parts": [sha256]}]}
    assert refused(api.post("/v1/data", json=asked), 404, "not_found")["missing"] == [sha256]
    refused(api.put(f"/v1/data-parts/{sha256}", content=b"y"), 400, "invalid_request")
    assert api.post("/v1/data-parts/missing", json={"parts": [sha256]}).json() == {"missing": [sha256]}
    assert api.put(f"/v1/data-parts/{sha256}", content=b"x").status_code == 204
    assert api.post("/v1/data-parts/missing", json={"parts": [sha256]}).json() == {"missing": []}
    assert api.post("/v1/data", json=asked).json()["id"] == "rows:1"


def test_what_is_wrong_is_refused_in_words(api: TestClient) -> None:
    refused(api.put("/v1/data-parts/..", content=b"x"), 404, "not_found")
    refused(api.put(f"/v1/data-parts/{'0' * 64}", content=bytes((16 << 20) + 1)), 413, "too_large")
    refused(
        api.post("/v1/data", data={"metadata": "{}"}, files=[("other", ("a", b""))]), 400, "invalid_request"
    )
    bad = [("file", ("../a", b"1"))]
    refused(api.post("/v1/data", data={"metadata": '{"name": "x"}'}, files=bad), 400, "invalid_request")
    refused(api.get("/v1/data/nothing"), 404, "not_found")
    refused(api.get("/v1/data/no thing/versions/x"), 400, "invalid_request")
