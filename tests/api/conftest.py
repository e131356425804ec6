"""The API on the real stores, called in process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from fitq.api.app import create_app
from fitq.backend import Backend
from fitq.records import FunctionRecord, Parameter
from fitq.settings import Settings

IRIS = FunctionRecord(
    name="iris",
    pool="default",
    parameters=[Parameter(name="penalty", type="float", required=False, default=1.0)],
)


@pytest.fixture
def api(backend: Backend, settings: Settings) -> Iterator[TestClient]:
    backend.state.publish_functions("default", [IRIS])
    app = create_app(backend, settings)
    with TestClient(app, base_url="http://127.0.0.1:8700", raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {settings.token}"
        yield client


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that must be this error, in the one shape all errors have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert {"message", "code", "hint", "request_id"} <= body.keys()
    assert body["message"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body
