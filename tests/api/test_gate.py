"""Who may come in, and the one shape of every refusal."""

from __future__ import annotations

import dataclasses

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from fitq.api.app import ROUTES, create_app
from fitq.backend import Backend, open_backend
from fitq.local.ports import free_ports
from fitq.settings import Settings
from tests.api.conftest import refused

PROTECTED = [
    (route.path, method)
    for route in ROUTES
    if isinstance(route, Route) and route.path.startswith("/v1/")
    for method in sorted(route.methods or set())
]


@pytest.mark.parametrize(("path", "method"), PROTECTED)
def test_every_route_needs_a_token(api: TestClient, path: str, method: str) -> None:
    del api.headers["authorization"]
    answer = api.request(method, path.replace("{path:path}", "x"))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        refused(answer, 401, "unauthorized")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dGVzdA==", "test-token", "Bearer é"]
)
def test_a_wrong_token_is_refused(api: TestClient, header: str) -> None:
    answer = api.get("/v1/runs", headers={"authorization": header.encode()})
    refused(answer, 401, "unauthorized")


@pytest.mark.parametrize(("path", "method"), PROTECTED)
def test_what_starts_workers_may_read_pools_and_nothing_else(
    settings: Settings, memory_backend: Backend, path: str, method: str
) -> None:
    told = dataclasses.replace(settings, scaler_token="of-the-scaler")
    with TestClient(create_app(memory_backend, told), base_url="http://127.0.0.1:8700") as api:
        address = path.replace("{path:path}", "x").replace("{pool}", "default")
        answer = api.request(method, address, headers={"authorization": "Bearer of-the-scaler"})
    if (path, method) in (("/v1/pools/{pool}", "GET"), ("/v1/pools/{pool}", "HEAD")):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 403
    if method == "GET" and answer.status_code == 403:
        refused(answer, 403, "forbidden")


def test_health_needs_none(api: TestClient) -> None:
    del api.headers["authorization"]
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").json()["status"] == "ready"
    assert "fitq_pool_workers" in api.get("/metrics").text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8700", "[::2]", ""])
def test_another_sites_name_is_not_answered(api: TestClient, host: str) -> None:
    refused(api.get("/v1/runs", headers={"host": host}), 403, "forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1:8700", "localhost:1", "LOCALHOST", "[::1]:8700"])
def test_our_own_names_are(api: TestClient, host: str) -> None:
    assert api.get("/v1/runs", headers={"host": host}).status_code == 200


def test_unknown_addresses_and_methods_have_the_one_body(api: TestClient) -> None:
    refused(api.get("/v1/nothing"), 404, "not_found")
    refused(api.post("/v1/experiments"), 405, "method_not_allowed")
    refused(api.get("/v1/sweeps/x"), 404, "not_found")


def test_the_callers_request_id_comes_back(api: TestClient) -> None:
    assert api.get("/healthz", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
    assert len(api.get("/healthz", headers={"x-request-id": "x" * 500}).headers["x-request-id"]) == 32


def test_stores_that_are_away_are_503_with_retry_after(settings: Settings) -> None:
    nowhere = free_ports(2)
    away = dataclasses.replace(
        settings,
        redis_url=f"redis://127.0.0.1:{nowhere[0]}/0",
        s3_url=f"http://127.0.0.1:{nowhere[1]}",
    )
    app = create_app(open_backend(away), away)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {settings.token}"
        assert client.get("/healthz").status_code == 200
        body = refused(client.get("/readyz"), 503, "unavailable")
        assert set(body["away"]) == {"redis", "objects"}
        answer = client.post("/v1/runs", json={"function": "iris"})
        refused(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "2"


def test_a_crash_of_ours_is_a_500_without_a_trace(
    backend: Backend, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(backend, settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        monkeypatch.setattr(backend.state, "list_runs", lambda **_: 1 / 0)
        answer = client.get("/v1/runs", headers={"authorization": f"Bearer {settings.token}"})
        body = refused(answer, 500, "internal_error")
        assert "division" not in str(body)
