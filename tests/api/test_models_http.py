"""Models over HTTP: what is refused before a file is looked at."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from fitq.api.app import create_app
from fitq.backend import Backend
from fitq.settings import Settings
from tests.api.conftest import refused


@pytest.fixture
def small(backend: Backend, settings: Settings) -> Iterator[TestClient]:
    """An API that takes model files of 1000 bytes at most."""
    app = create_app(backend, dataclasses.replace(settings, model_bytes=1000))
    with TestClient(app, base_url="http://127.0.0.1:8700", raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {settings.token}"
        yield client


def body_of(size: int) -> bytes:
    metadata = b'--x\r\ncontent-disposition: form-data; name="metadata"\r\n\r\n{"name": "iris"}\r\n'
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="m.joblib"\r\n\r\n'
    return metadata + head + b"\0" * size + b"\r\n--x--\r\n"


@pytest.mark.parametrize("size", [1001, 5_000_000])
@pytest.mark.parametrize("announced", [True, False])
def test_a_model_file_that_is_too_large_is_refused(small: TestClient, size: int, announced: bool) -> None:
    body = body_of(size)
    content = body if announced else (body[i : i + 65536] for i in range(0, len(body), 65536))
    answer = small.post(
        "/v1/models", content=content, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    refused(answer, 413, "too_large")


def test_an_endless_upload_is_cut_off_at_the_limit(small: TestClient) -> None:
    """Without a content-length nothing but the bytes themselves tells how much comes."""
    pieces, sent = iter([body_of(0)[: -len(b"\r\n--x--\r\n")]]), []
    messages: list[Message] = []

    async def receive() -> Message:
        sent.append(next(pieces, b"\0" * 65536))
        return {"type": "http.request", "body": sent[-1], "more_body": True}

    async def send(message: Message) -> None:
        messages.append(message)

    headers = {
        "host": "127.0.0.1:8700",
        "authorization": small.headers["authorization"],
        "content-type": "multipart/form-data; boundary=x",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/models", "query_string": b"", "headers": raw}
    asyncio.run(small.app(scope, receive, send))
    assert messages[0]["status"] == 413
    assert sum(map(len, sent)) < 3_000_000


@pytest.mark.parametrize("version", ["²", "9" * 5000, "-1"])
def test_an_odd_version_is_refused_in_a_sentence(api: TestClient, version: str) -> None:
    refused(api.get(f"/v1/models/iris/versions/{version}"), 400, "invalid_request")
