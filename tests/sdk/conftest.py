"""A platform that answers what the test scripts, and the real API served from this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import uvicorn

from fitq.api.app import create_app
from fitq.backend import Backend
from fitq.records import PoolSettings
from fitq.sdk.client import Client
from fitq.sdk.workspace import Workspace
from fitq.settings import Settings
from tests.conftest import eventually

POOL_SETTINGS = PoolSettings(min_workers=0, max_workers=4)
Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


def refusal(status: int, code: str, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json={"message": "no", "code": code, "hint": "so"}, headers=headers)


class Script:
    """Answers in order, and what was asked; the last answer is repeated."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def client(self, **options: Any) -> Client:
        transport = httpx2.MockTransport(self)
        return Client(
            "http://platform:8700",
            "secret",
            "http://platform:8701",
            transport=transport,
            pause=self.pauses.append,
            **options,
        )


class Routes:
    """Answers by method and path; JSON values, or functions of the request."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        asked = f"{request.method} {request.url.path}"
        if asked not in self.answers:
            return httpx2.Response(404, json={"message": f"nothing at {asked}", "code": "not_found"})
        answer = self.answers[asked]
        answer = answer(request) if callable(answer) else answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)

    def workspace(self) -> Workspace:
        transport = httpx2.MockTransport(self)
        return Workspace(
            client=Client(
                "http://platform:8700",
                "secret",
                "http://platform:8701",
                transport=transport,
                pause=lambda _: None,
            )
        )


@pytest.fixture
def platform(memory_backend: Backend) -> Iterator[Client]:
    """A client of the real API on memory stores; no worker executes anything."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        settings = Settings(token="test-token", url=f"http://127.0.0.1:{port}")
        app = create_app(memory_backend, settings)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            eventually(lambda: server.started, what="the API")
            with Client(settings.url, "test-token", settings.scoring_url) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(10)
