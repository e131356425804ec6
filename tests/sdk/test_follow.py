"""Following a log over lost connections: every byte once, in order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import httpx2
import pytest

from fitq.errors import NotFound, Unavailable
from fitq.sdk.client import Client
from tests.sdk.conftest import Script

LOG = "first line\nzweite Zeile: größer\nthird\n"


class Lines(httpx2.SyncByteStream):
    """Server-sent events, cut off by a lost connection after `cut` bytes."""

    def __init__(self, data: bytes, cut: int | None) -> None:
        self.data = data
        self.cut = cut

    def __iter__(self) -> Iterator[bytes]:
        yield self.data[: self.cut]
        if self.cut is not None:
            raise httpx2.ReadError("reset")


def events(offset: int) -> bytes:
    """What the platform sends from byte `offset` of LOG: a piece per line, then the end."""
    said, at = [": ping\n\nevent: status\ndata: Running\n\n"], 0
    for line in LOG.splitlines(keepends=True):
        start, at = at, at + len(line.encode())
        if at > offset:
            text = line.encode()[max(0, offset - start) :].decode()
            said.append(f"id: {at}\nevent: log\ndata: {json.dumps(text)}\n\n")
    return "".join([*said, "event: end\ndata: Completed\n\n"]).encode()


def server(cuts: Iterator[int | None]) -> Script:
    def answer(request: httpx2.Request) -> httpx2.Response:
        data = events(int(request.url.params["offset"]))
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=Lines(data, next(cuts)))

    return Script(answer)


@pytest.mark.parametrize("cut", range(0, len(events(0)), 7))
def test_a_connection_lost_anywhere_loses_and_repeats_nothing(cut: int) -> None:
    script = server(itertools.chain([cut], itertools.repeat(None)))
    assert "".join(script.client().stream_log("r-1")) == LOG


def test_many_short_connections_still_make_one_log() -> None:
    script = server(itertools.cycle([90, 130, 150, None]))
    assert "".join(script.client().stream_log("r-1")) == LOG


def test_statuses_come_along_and_the_end_ends() -> None:
    found = list(server(itertools.repeat(None)).client().follow_run("r-1"))
    assert [e.kind for e in found] == ["status", "log", "log", "log", "end"]
    assert str(found[-1].status) == "Completed"
    assert found[-1].offset == len(LOG.encode())


def test_a_server_that_never_says_anything_is_given_up() -> None:
    script = Script(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"")
    )
    with pytest.raises(Unavailable):
        list(script.client().follow_run("r-1"))


def test_following_a_run_that_is_not_there_is_not_found(platform: Client) -> None:
    with pytest.raises(NotFound, match="nothing-like-it"):
        list(platform.follow_run("nothing-like-it"))
