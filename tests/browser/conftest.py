"""A real browser on a real server. Needs Debian's chromium; installs nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from playwright.sync_api import Browser, Dialog, Page, sync_playwright
from starlette.applications import Starlette

from fitq.backend import Backend
from fitq.credentials import login_code
from fitq.dashboard.pages import routes
from fitq.settings import Settings
from tests.conftest import eventually, in_ci

CHROMIUM = Path("/usr/bin/chromium")
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Dashboard(NamedTuple):
    """Where it listens, and a code that opens it."""

    url: str
    login: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole session: while it lives, its event loop stands in the way of every other one.
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is not there; install it with: apt-get install chromium"
        pytest.fail(missing) if in_ci() else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture
def dashboard(memory_backend: Backend) -> Iterator[Dashboard]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(token="fitq_browser-test", url=url)
        app = Starlette(routes=routes(memory_backend, settings))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        eventually(lambda: server.started, what="the dashboard's start")
        yield Dashboard(url, f"{url}/login?code={login_code(settings.token)}")
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture
def page(browser: Browser, dashboard: Dashboard) -> Iterator[Page]:
    """A signed-in page. Fails the test on any dialog, script error or refused resource."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    trouble: list[str] = []

    def refuse(dialog: Dialog) -> None:
        trouble.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("pageerror", lambda error: trouble.append(f"script error: {error}"))
    page.on("console", lambda m: trouble.append(f"console: {m.text}") if m.type == "error" else None)
    page.goto(dashboard.login)
    yield page
    context.close()
    assert trouble == []
