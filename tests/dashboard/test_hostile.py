"""Whatever a script prints, logs or names stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.records import Column, Failure, InputSchema, Versions
from tests.dashboard.samples import deployed, ended, point, registered, running, submitted

EVIL = "{{7*7}}<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\x00\u202e"


class Elements(HTMLParser):
    """What a browser would make of a page, as far as it could do harm."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.harmful: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        addresses = [v or "" for k, v in attrs if k in ("src", "href", "action", "data-events")]
        is_ours = all(a.startswith(("/", "?", "#")) and not a.startswith("//") for a in addresses)
        loads_ours = tag not in ("script", "img", "link") or "/static/" in "".join(addresses)
        inline = tag in ("style", "iframe", "object", "embed", "base") or "style" in given
        if not is_ours or not loads_ours or inline or any(k.startswith("on") for k in given):
            self.harmful.append(self.get_starttag_text() or tag)


def inert(page: str) -> bool:
    """No element, no handler and no control character of a hostile text came through."""
    assert Elements(page).harmful == []
    return not re.search(r"[\x00\x1b\u202e]", page)


@pytest.fixture
def run_id(memory_backend: Backend) -> str:
    """A run in which every text is hostile."""
    held = running(memory_backend, submitted(memory_backend, display_name=EVIL, kernel=EVIL))
    return ended(
        memory_backend,
        held,
        log=EVIL.encode() * 50 + b"\xff\xfe\n" + EVIL.encode(),
        files={f"outputs/{EVIL}.joblib": b"x", "outputs/a b#?%&.html": b"<script>alert(3)</script>"},
        metrics=[
            point(EVIL, EVIL), point(f"{EVIL}2", 1), point(f"{EVIL}2", 2), point(f"{EVIL}3", {EVIL: EVIL}),
            point("many", [EVIL]), point("many", None),
        ],
        failure=Failure(
            kind=EVIL, message=EVIL, lines=[EVIL], hint=EVIL, where=EVIL, versions={EVIL: EVIL}
        ),
    ).id  # fmt: skip


def test_a_hostile_run_stays_text_on_every_page(client: TestClient, run_id: str) -> None:
    for path in ("/", "/runs", f"/runs/{run_id}", f"/runs/{run_id}/metrics", f"/runs/{run_id}/artifacts"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "&lt;script&gt;alert(1)" in answer.text, path
        assert inert(answer.text), path
        assert "{{7*7}}" in answer.text, path


def test_a_hostile_model_and_endpoint_stay_text(client: TestClient, memory_backend: Backend) -> None:
    registered(
        memory_backend,
        name="m", description=EVIL, tags={EVIL: EVIL}, properties={EVIL: EVIL}, estimator=EVIL,
        methods=[EVIL], classes=[EVIL], warnings=[EVIL], path=EVIL, framework=EVIL, framework_version=EVIL,
        versions=Versions(python=EVIL, packages={"scikit-learn": EVIL}), run=EVIL, experiment=EVIL,
        input_schema=InputSchema(columns=[Column(kind=EVIL, name=EVIL)], example=[[EVIL]]),
    )  # fmt: skip
    deployed(memory_backend, model="m")
    for path in ("/", "/models", "/models/m", "/endpoints"):
        assert inert(client.get(path).text), path


@pytest.mark.parametrize("path", ["/runs?experiment=", "/runs?status=", "/login?next=", "/", "/models/"])
def test_a_hostile_address_stays_text(client: TestClient, path: str) -> None:
    assert inert(client.get(path + "%3Cscript%3Ealert(1)%3C/script%3E%22onload=%22x").text)


def test_an_artifact_is_only_ever_a_download(client: TestClient, run_id: str) -> None:
    page = client.get(f"/runs/{run_id}").text
    href = re.search(r'href="(/runs/[^"]*artifacts/outputs/a%20b[^"]*)"', page)
    assert href
    answer = client.get(href[1])
    assert answer.content == b"<script>alert(3)</script>"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b%23%3F%25%26.html"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == "25"


@pytest.mark.parametrize("path", ["..%2F..%2Ffinal.json", "%2Fetc%2Fpasswd", "outputs", "outputs%00"])
def test_only_artifacts_of_the_run_can_be_had(client: TestClient, run_id: str, path: str) -> None:
    assert client.get(f"/runs/{run_id}/artifacts/{path}").status_code == 404


def test_the_whole_log_is_plain_text_in_a_sandbox(client: TestClient, run_id: str) -> None:
    answer = client.get(f"/runs/{run_id}/log")
    assert answer.content == EVIL.encode() * 50 + b"\xff\xfe\n" + EVIL.encode()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_log_of_nothing_but_codes_is_an_inert_page_and_an_inert_stream(
    client: TestClient, memory_backend: Backend
) -> None:
    held = running(memory_backend, submitted(memory_backend))
    flood = b"\x1b[2J\x1b]52;c;eA==\x07\x00\xff\xc3\r\x9b" * 60_000
    run = ended(memory_backend, held, log=flood + b"\n" + EVIL.encode())
    page = client.get(f"/runs/{run.id}").text
    assert "&lt;script&gt;alert(1)" in page
    assert inert(page)
    assert len(page) < 60_000
    events = client.get(f"/runs/{run.id}/events?attempt=1&offset={len(flood) // 2}").text
    assert "<script>alert(1)" in events, "text within JSON"
    assert not re.search(r"[\x00\x1b\x9b\u202e]", events)


def test_a_monstrous_run_is_still_a_small_page(client: TestClient, memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend, display_name='"' * 5000, kernel="<" * 100_000))
    points = [point(f"{'<' * 500}{n}", step * n % 7, step) for n in range(60) for step in range(300)]
    points += [point("rows", {f"{'&' * 90}{c}": "'" * 999 for c in range(50)}) for _ in range(99)]
    failure = Failure(kind="k" * 999, message="<" * 9999, lines=["<" * 9999] * 99, hint="<" * 9999)
    run = ended(
        memory_backend,
        held,
        log=b"<" * 300_000 + b"\n" + b"&\n" * 100_000,
        files={f"outputs/{'<' * 400}{n}": b"" for n in range(300)},
        metrics=points,
        failure=failure,
    )
    for path in (f"/runs/{run.id}", "/runs", "/"):
        assert len(client.get(path).content) < 60_000, path
