"""The promises of the dashboard that only a browser can keep."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from fitq import runs
from fitq.backend import Backend
from fitq.records import RunStatus
from tests.browser.conftest import Dashboard
from tests.dashboard.samples import ended, point, registered, running, submitted
from tests.dashboard.test_hostile import EVIL


def test_a_login_code_opens_the_overview(page: Page, dashboard: Dashboard) -> None:
    expect(page).to_have_url(f"{dashboard.url}/")
    expect(page.get_by_role("heading", name="Nothing has run yet")).to_be_visible()


def test_a_pasted_token_opens_the_page_that_was_wanted(browser: Browser, dashboard: Dashboard) -> None:
    page = browser.new_page()
    page.goto(f"{dashboard.url}/models")
    page.get_by_label("Token").fill("fitq_browser-test")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{dashboard.url}/models")
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{dashboard.url}/login")
    page.close()


def test_a_link_from_another_site_opens_without_a_second_login(
    page: Page, dashboard: Dashboard, memory_backend: Backend
) -> None:
    run = submitted(memory_backend)
    elsewhere = page.context.new_page()
    elsewhere.set_content(f'<a href="{dashboard.url}/runs/{run.id}">look</a>')
    elsewhere.get_by_text("look").click()
    expect(elsewhere.get_by_role("heading", name="iris")).to_be_visible()


def test_a_run_is_followed_live_to_its_end(page: Page, dashboard: Dashboard, memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend))
    state = memory_backend.state
    state.append_log(held.id, b"line one\n")
    page.goto(f"{dashboard.url}/runs/{held.id}")
    log = page.locator("#log")
    expect(log).to_have_text("line one\n")
    state.append_log(held.id, b"\x1b[32mline two\x1b[0m\n")
    expect(log).to_contain_text("line two\n")
    expect(page.locator("#log-state")).to_have_text("Live.")
    points = [point("loss", 1.0), point("loss", 0.5)]
    state.append_metrics(held.id, points)
    expect(page.locator("#metrics polyline")).to_be_visible()
    ended(
        memory_backend,
        held,
        log=state.read_log(held.id, 0, 1000) + b"last",
        files={"outputs/m.joblib": b"x"},
        metrics=points,
    )
    expect(page.locator(".title .status")).to_have_text("Completed")
    expect(page.get_by_text("fitq models register iris")).to_be_visible()
    expect(log).to_contain_text("last")
    expect(page).to_have_title("iris Completed · fitq")


def test_the_log_goes_on_after_a_lost_connection(
    page: Page, dashboard: Dashboard, memory_backend: Backend
) -> None:
    held = running(memory_backend, submitted(memory_backend))
    memory_backend.state.append_log(held.id, b"1\n")
    page.goto(f"{dashboard.url}/runs/{held.id}")
    expect(page.locator("#log-state")).to_have_text("Live.")
    page.reload()
    memory_backend.state.append_log(held.id, b"2\n")
    expect(page.locator("#log")).to_have_text("1\n2\n")


def test_hostile_text_never_runs(page: Page, dashboard: Dashboard, memory_backend: Backend) -> None:
    """The fixture fails the test if `alert` is ever called or a resource is refused."""
    held = running(memory_backend, submitted(memory_backend, display_name=EVIL, kernel=EVIL))
    state = memory_backend.state
    state.append_log(held.id, EVIL.encode() + b"\n")
    state.append_metrics(held.id, [point(EVIL, 1), point(EVIL, 2), point("text", EVIL)])
    page.goto(f"{dashboard.url}/runs/{held.id}")
    state.append_log(held.id, b"live " + EVIL.encode() + b"\n")
    expect(page.locator("#log")).to_contain_text("live {{7*7}}<script>alert(1)</script>")
    ended(memory_backend, held, log=b"", files={f"outputs/{EVIL}": b"x"}, metrics=state.read_metrics(held.id))
    expect(page.locator(".title .status")).to_have_text("Completed")
    for path in ("/", "/runs", f"/runs/{held.id}/metrics", f"/runs/{held.id}/artifacts"):
        page.goto(dashboard.url + path)
    assert page.locator("main img, main script").count() == 0


def test_copy_puts_the_command_on_the_clipboard(
    page: Page, dashboard: Dashboard, memory_backend: Backend
) -> None:
    registered(memory_backend)
    page.goto(f"{dashboard.url}/models/sklearn-iris")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -sS http://127.0.0.1:8701/models/sklearn-iris/score \\\n")
    assert copied.endswith("""-d '{"data": [[5.1, 3.5]]}'""")


def test_the_cancel_button_asks_once_and_cancels(
    page: Page, dashboard: Dashboard, memory_backend: Backend
) -> None:
    run = submitted(memory_backend)
    page.goto(f"{dashboard.url}/runs/{run.id}")
    page.get_by_text("Cancel run").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.locator(".title .status")).to_have_text("Canceled")
    assert runs.find(memory_backend, run.id).status is RunStatus.CANCELED


def test_an_artifact_is_downloaded_not_opened(
    page: Page, dashboard: Dashboard, memory_backend: Backend
) -> None:
    held = running(memory_backend, submitted(memory_backend))
    run = ended(memory_backend, held, files={"outputs/page.html": b"<script>alert(1)</script>"})
    page.goto(f"{dashboard.url}/runs/{run.id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="outputs/page.html").click()
    assert download.value.suggested_filename == "page.html"
    assert download.value.path().read_bytes() == b"<script>alert(1)</script>"


def test_everything_is_readable_without_javascript(
    browser: Browser, dashboard: Dashboard, memory_backend: Backend
) -> None:
    held = running(memory_backend, submitted(memory_backend))
    memory_backend.state.append_log(held.id, b"a line\n")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(dashboard.login)
    page.get_by_role("link", name="iris").first.click()
    expect(page.locator("#log")).to_contain_text("a line")
    expect(page.get_by_role("link", name="Whole log")).to_be_visible()
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    context.close()


@pytest.mark.parametrize("path", ["/", "/runs", "/models", "/endpoints", "/pools"])
@pytest.mark.parametrize("width", [360, 1200])
def test_no_page_scrolls_sideways(
    page: Page, dashboard: Dashboard, memory_backend: Backend, path: str, width: int
) -> None:
    ended(memory_backend, running(memory_backend, submitted(memory_backend, display_name="long " * 30)))
    registered(memory_backend, name="m" * 120)
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(dashboard.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
