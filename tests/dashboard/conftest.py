"""A dashboard on stores in memory, seen by somebody who is signed in and by a stranger."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.credentials import login_code
from fitq.dashboard.pages import routes
from fitq.settings import Settings

TOKEN = "fitq_a-token-of-this-test"


@pytest.fixture
def settings() -> Settings:
    return Settings(token=TOKEN)


@pytest.fixture
def app(memory_backend: Backend, settings: Settings) -> Starlette:
    return Starlette(routes=routes(memory_backend, settings))


@pytest.fixture
def stranger(app: Starlette) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://127.0.0.1:8700", follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    assert stranger.get(f"/login?code={login_code(TOKEN)}").status_code == 303
    return stranger


def csrf_of(page: str) -> str:
    """The token in the forms of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, "the page has no form of this session"
    return found[1]
