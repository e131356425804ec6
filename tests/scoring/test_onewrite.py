"""Answers leave in one piece, and none stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

from fitq.onewrite import OneWrite


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
