"""A web program that is told to stop answers what it has begun, and leaves at once if that is nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

import httpx2
import pytest
from chaos_lab.proxy import Fault, Kind, Proxy

from fitq.backend import Backend
from fitq.records import RunRecord, RunStatus, TimelineEntry, now
from fitq.settings import Settings
from tests.conftest import Servers, eventually
from tests.faults.web import AUTHORIZATION, Web, running


@pytest.fixture
def to_redis(servers: Servers) -> Iterator[Proxy]:
    with Proxy(servers.redis.port) as proxy:
        yield proxy


@pytest.fixture
def api(settings: Settings, backend: Backend, to_redis: Proxy, tmp_path: Path) -> Iterator[Web]:
    url = settings.redis_url.replace(f":{to_redis.target_port}/", f":{to_redis.port}/")
    with running(Web(dataclasses.replace(settings, redis_url=url), tmp_path / "api.log")) as api:
        yield api


def ask(connection: HTTPConnection) -> tuple[int, bool]:
    """The status of one request, and whether the answer says that it is the last of its connection."""
    connection.request("POST", "/models/nobodys/score", b'{"data": [[1]]}', AUTHORIZATION)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("connection") == "close"


def test_clients_of_scoring_are_told_to_close_before_they_are_cut_off(
    settings: Settings, backend: Backend, tmp_path: Path
) -> None:
    assert backend.objects.get("none") is None, "the bucket is there"
    with (
        running(Web(settings, tmp_path / "scoring.log", "scoring")) as scoring,
        contextlib.closing(HTTPConnection("127.0.0.1", scoring.port, timeout=30)) as busy,
        contextlib.closing(HTTPConnection("127.0.0.1", scoring.port, timeout=30)) as idle,
    ):
        assert ask(idle) == ask(busy) == (404, False)
        scoring.process.send_signal(signal.SIGTERM)
        eventually(lambda: ask(busy) == (404, True), what="it is told to close")
        assert ask(idle) == (404, True), "also who had asked nothing when the signal came"
        assert scoring.process.wait(20) in (0, -signal.SIGTERM)


def ready(connection: HTTPConnection) -> int:
    """The status of `/readyz`."""
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize("program", ["api", "scoring"])
def test_a_program_that_was_told_to_stop_is_not_ready_while_it_still_answers(
    program: str, settings: Settings, backend: Backend, tmp_path: Path
) -> None:
    """It answers for a second more; a test that sleeps through that one tries again."""
    assert backend.objects.get("none") is None, "the bucket is there"
    for _ in range(3):
        with (
            running(Web(settings, tmp_path / "web.log", program)) as web,
            contextlib.closing(HTTPConnection("127.0.0.1", web.port, timeout=30)) as busy,
            contextlib.closing(HTTPConnection("127.0.0.1", web.port, timeout=30)) as idle,
        ):
            assert ready(busy) == ready(idle) == 200
            web.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(ConnectionError):
                eventually(lambda: ready(busy) == 503, what="it is not ready")
                assert web.process.wait(20) in (0, -signal.SIGTERM)
                return
    pytest.fail("its connections were closed before it said that it is not ready")


def test_requests_that_have_begun_are_answered(api: Web, to_redis: Proxy) -> None:
    def ask(_: int) -> int:
        return httpx2.get(
            f"{api.url}/v1/runs", headers=AUTHORIZATION, trust_env=False, timeout=60
        ).status_code

    with ThreadPoolExecutor(8) as clients, to_redis.during(Fault(kind=Kind.DELAY, seconds=0.4)):
        answers = clients.map(ask, range(8))
        eventually(lambda: to_redis.hits >= 8, what="all of them are under way")
        api.process.send_signal(signal.SIGTERM)
        assert list(answers) == [200] * 8
    assert api.process.wait(20) in (0, -signal.SIGTERM)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{api.url}/healthz", trust_env=False)


def test_followed_logs_do_not_hold_up_the_stop(api: Web, backend: Backend) -> None:
    entry = TimelineEntry(status=RunStatus.RUNNING, at=now(), attempt=1)
    run = RunRecord(
        id="iris-1", experiment="e", status=RunStatus.RUNNING, created_at=now(), pool="default",
        function="iris", attempt=1, timeline=[entry],
    )  # fmt: skip
    backend.state.add_run(run)
    backend.state.append_log(run.id, b"one line\n")
    url = f"{api.url}/v1/runs/{run.id}/logs?follow=true"
    with (
        httpx2.Client(headers=AUTHORIZATION, trust_env=False, timeout=30) as client,
        client.stream("GET", url) as text,
        client.stream("GET", url, headers={"Accept": "text/event-stream"}) as events,
    ):
        lines, more_lines = text.iter_lines(), events.iter_lines()
        assert next(lines) == "one line"
        assert next(more_lines)
        began = monotonic()
        api.process.send_signal(signal.SIGTERM)
        assert list(lines) == [], "the stream ends in order"
        assert [line for line in more_lines if "error" in line] == []
        api.process.wait(20)
    assert monotonic() - began < 10
