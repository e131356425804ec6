"""The live log: every byte once, from any offset, through a lost attempt, until the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from sse_starlette import ServerSentEvent
from starlette.testclient import TestClient

from fitq import claims
from fitq.backend import Backend
from fitq.dashboard import run_files
from fitq.dashboard.run_files import _follow
from fitq.dashboard.session import Sessions
from fitq.dashboard.site import Site
from fitq.errors import Unavailable
from fitq.settings import Settings
from tests.dashboard.samples import ended, running, submitted


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_files, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(run_files, "_REFRESH_SECONDS", 0.2)


def site_of(backend: Backend) -> Site:
    settings = Settings(token="t")
    return Site(backend, settings, Sessions(settings))


async def following(events: AsyncIterator[ServerSentEvent], name: str) -> ServerSentEvent:
    """The next event of that name."""
    async with asyncio.timeout(10):
        async for event in events:
            if event.event == name:
                return event
    raise AssertionError(f"no {name} event came")


def test_lines_arrive_while_the_run_goes_on(memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend))
    state = memory_backend.state

    async def watch() -> None:
        events = _follow(site_of(memory_backend), held.id, "1", 0)
        state.append_log(held.id, b"one\n")
        event = await following(events, "log")
        assert (json.loads(str(event.data)), event.id) == ("one\n", "4")
        state.append_log(held.id, "é".encode()[:1])  # half a character is held back
        state.append_log(held.id, "é\n".encode()[1:])
        event = await following(events, "log")
        assert (json.loads(str(event.data)), event.id) == ("é\n", "7")
        ended(memory_backend, held, log="one\né\nlast".encode())
        event = await following(events, "log")
        assert (json.loads(str(event.data)), event.id) == ("last", "11")
        assert (await following(events, "end")).data == "Completed"

    asyncio.run(watch())


def test_a_new_attempt_starts_the_log_anew(memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend))
    state = memory_backend.state
    state.append_log(held.id, b"first attempt\n")

    async def watch() -> None:
        events = _follow(site_of(memory_backend), held.id, "1", 0)
        await following(events, "log")
        claims.hand_back(memory_backend, held, "the worker stops")
        state.drop_live(held.id)
        await following(events, "changed")
        running(memory_backend, held)
        state.append_log(held.id, b"second\n")
        assert (await following(events, "restart")).data == "2"
        event = await following(events, "log")
        assert (json.loads(str(event.data)), event.id) == ("second\n", "7")

    asyncio.run(watch())


def test_a_run_that_waits_says_when_a_worker_took_it(memory_backend: Backend) -> None:
    run = submitted(memory_backend)

    async def watch() -> None:
        events = _follow(site_of(memory_backend), run.id, "0", 0)
        assert (await following(events, "changed")).data == "Queued"
        running(memory_backend, run)
        assert (await following(events, "changed")).data == "Running"
        memory_backend.state.append_log(run.id, b"x\n")
        assert (await following(events, "log")).id == "2"

    asyncio.run(watch())


def test_reconnecting_goes_on_where_it_was(client: TestClient, memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend))
    run = ended(memory_backend, held, log=b"one\ntwo\n\x1b[31mthree\x1b[0m")
    address = f"/runs/{run.id}/events?attempt=1&offset=0"
    answer = client.get(address)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert json.dumps("one\ntwo\nthree") in answer.text
    again = client.get(address, headers={"last-event-id": "4"}).text
    assert json.dumps("two\nthree") in again
    assert "one" not in again
    assert "event: end\r\ndata: Completed" in again


def test_a_store_that_goes_away_ends_the_stream_quietly(
    client: TestClient, memory_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = running(memory_backend, submitted(memory_backend))
    memory_backend.state.append_log(held.id, b"one\n")
    real = memory_backend.state.read_log

    def read_once(run_id: str, offset: int, limit: int) -> bytes:
        if offset:
            raise Unavailable("Redis does not answer.")
        return real(run_id, offset, limit)

    monkeypatch.setattr(memory_backend.state, "read_log", read_once)
    answer = client.get(f"/runs/{held.id}/events?offset=0")
    assert answer.status_code == 200
    assert "one" in answer.text
    assert "event: end" not in answer.text


def test_odd_offsets_start_from_the_beginning(client: TestClient, memory_backend: Backend) -> None:
    run = ended(memory_backend, running(memory_backend, submitted(memory_backend)), log=b"one\n")
    for offset in ("-1", "x", "²", "9" * 30):
        assert "one" in client.get(f"/runs/{run.id}/events", params={"offset": offset}).text


def test_a_log_that_is_not_there_is_404_and_not_a_stream(client: TestClient) -> None:
    assert client.get("/runs/iris-nowhere/events").status_code == 404
