"""Answers leave in one piece, and none stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from fitq.onewrite import IdleTimer, OneWrite, OneWriteProtocol


class Wire:
    """Stands in for a transport and keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def get_extra_info(self, name: str) -> str:
        return name


def in_a_loop(test: Any) -> None:
    asyncio.run(test())


def test_head_and_body_leave_together_and_at_once() -> None:
    async def run() -> None:
        wire = Wire()
        transport: Any = OneWrite(wire)  # type: ignore[arg-type]
        transport.write(b"head ")
        assert wire.sent == []
        transport.write(b"body")
        assert wire.sent == [b"head body"]
        assert transport.get_extra_info("peername") == "peername"

    in_a_loop(run)


def test_a_head_alone_leaves_at_the_end_of_the_turn() -> None:
    async def run() -> None:
        wire = Wire()
        OneWrite(wire).write(b"head")  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert wire.sent == [b"head"]

    in_a_loop(run)


def test_what_is_ready_in_one_turn_leaves_at_its_end() -> None:
    async def run() -> None:
        wires = [Wire(), Wire(), Wire()]
        for wire in wires:
            transport = OneWrite(wire)  # type: ignore[arg-type]
            transport.write(b"head ")
            transport.write(b"body")
        await asyncio.sleep(0)
        assert [wire.sent for wire in wires] == [[b"head body"]] * 3

    in_a_loop(run)


def test_closing_sends_first_and_a_closed_wire_is_left_alone() -> None:
    async def run() -> None:
        wire = Wire()
        transport = OneWrite(wire)  # type: ignore[arg-type]
        transport.write(b"last")
        transport.close()
        assert (wire.sent, wire.is_closed) == ([b"last"], True)
        transport.write(b"too late")
        await asyncio.sleep(0)
        assert wire.sent == [b"last"]

    in_a_loop(run)


def test_a_whole_answer_waits_for_nobody_and_for_the_end_of_a_turn_that_has_more() -> None:
    async def run() -> None:
        wires = [Wire(), Wire()]
        for wire in wires:
            OneWrite(wire).write_whole(b"answer")  # type: ignore[arg-type]
        assert [wire.sent for wire in wires] == [[b"answer"], []]
        await asyncio.sleep(0)
        assert [wire.sent for wire in wires] == [[b"answer"], [b"answer"]]

    in_a_loop(run)


def test_a_connection_is_idle_when_nothing_came_since_it_was_last_said_to_be() -> None:
    async def run() -> None:
        timer, called = IdleTimer(asyncio.get_running_loop()), asyncio.Event()
        timer.call_later(0.01, called.set).cancel()
        await asyncio.sleep(0.05)
        assert not called.is_set()
        timer.call_later(0.01, called.set)
        timer.call_later(0.05, called.set)
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(called.wait(), 20)
        assert asyncio.get_running_loop().time() - began >= 0.04

    in_a_loop(run)


HEADERS = [(b"content-type", b"text/plain"), (b"x-request-id", b"1")]


async def in_two(scope: Any, _: Any, send: Any) -> None:
    headers = [*HEADERS, (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def first_in_one(scope: Any, receive: Any, send: Any) -> None:
    """Not where it would be wrong: to a client that goes, to HEAD, with a value that is none."""
    value = b"\n" if scope["path"] == "/broken" else b"1"
    if not scope["extensions"]["fitq.answered_whole"](send, 200, [*HEADERS, (b"x", value)], b"hello"):
        await in_two(scope, receive, send)


async def answers(app: Any, *requests: bytes) -> bytes:
    """What one connection answers to requests that come together."""
    config = uvicorn.Config(app, http=OneWriteProtocol, lifespan="off", log_config=None)
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: OneWriteProtocol(config, state, {}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"".join(requests))
        answered = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert state.total_requests == len(requests)
        return answered


ASK = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
LAST = b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"


def test_a_whole_answer_reads_as_any_other() -> None:
    async def run() -> None:
        whole, usual = [await answers(app, ASK, ASK, LAST) for app in (first_in_one, in_two)]
        assert whole.count(b"x: 1\r\n") == 2
        assert whole.replace(b"x: 1\r\n", b"") == usual

    in_a_loop(run)


def test_what_is_not_usual_is_left_to_uvicorn() -> None:
    async def run() -> None:
        for request in (LAST, LAST.replace(b"GET", b"HEAD"), LAST.replace(b"/x", b"/broken")):
            assert await answers(first_in_one, request) == await answers(in_two, request)

    in_a_loop(run)
