"""The API describes itself, and an independent validator agrees."""

from __future__ import annotations

import msgspec
from openapi_spec_validator import validate
from starlette.routing import Route
from starlette.testclient import TestClient

from fitq.api.app import ROUTES
from fitq.records import RunRequest


def test_the_description_is_valid_and_complete(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    validate(document)
    described = {(p, m.upper()) for p, operations in document["paths"].items() for m in operations}
    served = {
        (r.path.replace(":path", ""), m)
        for r in ROUTES
        if isinstance(r, Route) and r.path not in ("/openapi.json", "/docs")
        for m in (r.methods or set()) - {"HEAD"}
    }
    assert described == served
    names = [o["operationId"] for operations in document["paths"].values() for o in operations.values()]
    assert len(names) == len(set(names))


def test_the_body_of_a_submit_is_described_by_the_record_that_reads_it(api: TestClient) -> None:
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    fields = {f.encode_name for f in msgspec.structs.fields(RunRequest)}
    assert set(schemas["RunRequest"]["properties"]) == fields


def test_the_page_for_people_names_every_route(api: TestClient) -> None:
    answer = api.get("/docs")
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    assert "/v1/endpoints/{endpoint}/keys/{which}/regenerate" in answer.text
