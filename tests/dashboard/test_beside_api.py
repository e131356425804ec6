"""One address for pages and HTTP interface: each answers its own, in its own manner."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from fitq.api.app import create_app
from fitq.backend import Backend
from fitq.credentials import login_code
from fitq.dashboard.pages import routes
from fitq.settings import Settings
from tests.dashboard.conftest import TOKEN


@pytest.fixture
def both(memory_backend: Backend, settings: Settings) -> TestClient:
    app = create_app(memory_backend, settings, routes(memory_backend, settings))
    return TestClient(app, base_url="http://127.0.0.1:8700", follow_redirects=False)


def test_pages_need_a_session_and_the_interface_a_token(both: TestClient) -> None:
    assert both.get("/").headers["location"] == "/login"
    assert both.get("/v1/runs").status_code == 401
    assert both.get(f"/login?code={login_code(TOKEN)}").status_code == 303
    assert both.get("/").status_code == 200
    # The cookie opens pages only; a page of another site could send it along.
    assert both.get("/v1/runs").status_code == 401


def test_the_interface_answers_json_also_to_what_is_not_there(both: TestClient) -> None:
    token = {"authorization": f"Bearer {TOKEN}"}
    asked = [("GET", "/v1/nothing", 404), ("DELETE", "/v1/runs", 405), ("GET", "/healthz", 200)]
    for method, path, status in asked:
        answer = both.request(method, path, headers=token)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"


def test_a_foreign_host_name_is_refused_before_any_page(both: TestClient) -> None:
    assert both.get("/login", headers={"host": "evil.example"}).status_code == 403
