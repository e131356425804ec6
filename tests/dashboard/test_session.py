"""Nobody sees anything without a session, and no other site can act in one."""

from __future__ import annotations

import time

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.credentials import login_code
from fitq.dashboard.headers import CONTENT_POLICY
from fitq.dashboard.pages import PAGES, routes
from fitq.dashboard.session import SESSION_SECONDS, local_path
from fitq.records import RunStatus
from fitq.settings import Settings
from tests.dashboard.conftest import TOKEN, csrf_of
from tests.dashboard.samples import submitted

EVERY_PAGE = [r.path for r in PAGES if r.path not in ("/login", "/static")]  # type: ignore[attr-defined]  # all have one


@pytest.mark.parametrize("path", [*EVERY_PAGE, "/no-such-page"])
def test_every_page_asks_a_stranger_to_log_in(stranger: TestClient, path: str) -> None:
    for answer in (stranger.get(path), stranger.post(path)):
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")


def test_a_stranger_comes_back_to_the_page_they_wanted(stranger: TestClient) -> None:
    wanted = stranger.get("/runs?status=Failed&experiment=a").headers["location"]
    assert wanted == "/login?next=%2Fruns%3Fstatus%3DFailed%26experiment%3Da"
    form = stranger.get(wanted)
    assert "/runs?status=Failed&amp;experiment=a" in form.text
    answer = stranger.post("/login", data={"token": TOKEN, "next": "/runs?status=Failed&experiment=a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?status=Failed&experiment=a")
    assert stranger.get("/runs").status_code == 200


def test_the_cookie_is_for_this_server_only_and_holds_no_token(stranger: TestClient) -> None:
    answer = stranger.get(f"/login?code={login_code(TOKEN)}")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert f"Max-Age={SESSION_SECONDS}" in cookie
    assert TOKEN not in cookie
    assert answer.headers["location"] == "/"


def test_over_https_the_cookie_is_secure(memory_backend: Backend) -> None:
    settings = Settings(token=TOKEN, url="https://ml.example.org")
    client = TestClient(Starlette(routes=routes(memory_backend, settings)), follow_redirects=False)
    assert "Secure" in client.post("/login", data={"token": TOKEN}).headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", "é"])
def test_a_wrong_token_is_refused_in_words(stranger: TestClient, token: str) -> None:
    answer = stranger.post("/login", data={"token": token})
    assert answer.status_code == 401
    assert "not the token of this platform" in answer.text
    assert ".fitq/config.json" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "code",
    [
        *("x", "1.2", "²." + "0" * 64, "9" * 5000 + ".abc"),
        pytest.param(f"{int(time.time()) + 60}.abc", id="badly signed"),
        pytest.param(login_code(TOKEN, at=0), id="old"),
        pytest.param(login_code("another token"), id="of another token"),
    ],
)
def test_a_wrong_or_old_code_is_refused(stranger: TestClient, code: str) -> None:
    answer = stranger.get("/login", params={"code": code})
    assert answer.status_code == 401
    assert "fitq dashboard" in answer.text


def test_a_platform_without_a_token_lets_nobody_in(memory_backend: Backend) -> None:
    client = TestClient(Starlette(routes=routes(memory_backend, Settings())), follow_redirects=False)
    assert client.post("/login", data={"token": ""}).status_code == 401
    assert client.get(f"/login?code={login_code('')}").status_code == 401


def test_a_changed_cookie_is_no_session(client: TestClient) -> None:
    ((name, value),) = client.cookies.items()
    expires, nonce, signature = value.split(".")
    for forged in (
        f"{int(expires) + 1}.{nonce}.{signature}",
        f"{expires}.{nonce}x.{signature}",
        f"{expires}.{nonce}.{'0' * 64}",
        "",
        "..",
        "a.b",
    ):
        client.cookies.clear()
        client.cookies.set(name, forged)
        assert client.get("/").status_code == 303, forged


def test_a_session_ends(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + SESSION_SECONDS + 1
    monkeypatch.setattr("fitq.dashboard.session.time.time", lambda: later)
    assert client.get("/").status_code == 303


def test_logging_out_needs_the_form_and_forgets_the_cookie(client: TestClient) -> None:
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 403
    answer = client.post("/logout", data={"csrf": csrf_of(client.get("/").text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site", "origin": "null"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_on_another_site_cannot_act(
    client: TestClient, memory_backend: Backend, headers: dict[str, str]
) -> None:
    run = submitted(memory_backend)
    form = {"csrf": csrf_of(client.get(f"/runs/{run.id}").text)}
    assert client.post(f"/runs/{run.id}/cancel", data=form, headers=headers).status_code == 403
    assert memory_backend.state.get_run(run.id) == run


@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "0" * 64}])
def test_a_form_without_the_sessions_token_cannot_act(
    client: TestClient, memory_backend: Backend, form: dict[str, str]
) -> None:
    run = submitted(memory_backend)
    answer = client.post(f"/runs/{run.id}/cancel", data=form)
    assert answer.status_code == 403
    assert "Reload the page" in answer.text
    assert memory_backend.state.get_run(run.id) == run


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "null", "sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1:8700"}]
)
def test_our_own_button_cancels(client: TestClient, memory_backend: Backend, headers: dict[str, str]) -> None:
    run = submitted(memory_backend)
    form = {"csrf": csrf_of(client.get(f"/runs/{run.id}").text)}
    answer = client.post(f"/runs/{run.id}/cancel", data=form, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run.id}")
    kept = memory_backend.state.get_run(run.id)
    assert kept is not None
    assert kept.status is RunStatus.CANCELED


def test_a_form_that_is_too_large_or_odd_is_refused(stranger: TestClient) -> None:
    assert stranger.post("/login", content=b"token=" + b"x" * 20_000).status_code == 413
    assert stranger.post("/login", content=b"\xff\xfe=1").status_code == 400


@pytest.mark.parametrize(
    "given",
    [
        "//evil.example", "/\\evil.example", "\\/evil.example", "https://evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", "evil", "", "///evil.example", " //evil.example",
    ],
)  # fmt: skip
def test_next_never_leaves_this_server(client: TestClient, given: str) -> None:
    assert local_path(given) == "/"
    assert client.get("/login", params={"next": given}).headers["location"] == "/"


def test_a_link_from_another_site_is_asked_again_from_here(stranger: TestClient) -> None:
    """Strict cookies are not sent with it; somebody signed in should not see the login form."""
    answer = stranger.get('/runs/a"><script>', headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'content="0;url=/runs/a%22%3E%3Cscript%3E"' in answer.text


@pytest.mark.parametrize("path", ["/", "/login", "/runs", "/nothing", "/runs/none-here", "/static/app.js"])
def test_every_answer_has_the_safe_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_static_files_are_kept_by_browsers_and_pages_are_not(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["cache-control"] == "no-store"
    start = page.text.index("/static/style.css?")
    style = client.get(page.text[start : page.text.index('"', start)])
    assert "immutable" in style.headers["cache-control"]
    assert client.get("/static/style.css").headers["cache-control"] == "no-store"
    assert client.get("/static/../pages.py").status_code == 404
