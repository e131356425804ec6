"""Clients that are slow, many, endless or wrong on the wire: they are told, and others answered meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fitq.settings import Settings
from tests.conftest import eventually
from tests.faults.web import EXPLAINED, Web, answered, head, running

ROUTES = {"api": "/v1/runs", "scoring": "/models/iris/score"}
BODIES = {"api": b'{"function": "iris"}', "scoring": b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'}
MANY, FILES = 1000, 300


def posting(web: Web, **headers: str) -> bytes:
    """The head of a request that the program understands."""
    return head(f"POST {ROUTES[web.program]}", Content_Type="application/json", **headers)


def still_answers(web: Web) -> bool:
    return web.get("/healthz").status_code == 200


class Trickle:
    """A connection over which pieces come, one for each look at it."""

    def __init__(self, web: Web, *first: bytes, again: bytes = b"") -> None:
        self._connection = web.connect()
        self._connection.sendall(b"".join(first))
        self._connection.setblocking(False)
        self._again, self._came, self._is_ended = again, b"", False

    @property
    def is_cut_off(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            try:
                self._connection.send(self._again)
                came = self._connection.recv(1 << 16)
            except ConnectionError:
                came = b""
            self._came += came
            self._is_ended = self._is_ended or not came
        return self._is_ended

    def is_told(self) -> bool:
        """Whether it was said, once, why."""
        self._connection.close()
        return self._came.count(b"HTTP/1.1 408 ") == self._came.count(b'"too_slow"') == 1


def test_who_does_not_get_on_is_cut_off_and_others_are_answered_meanwhile(webs: dict[str, Web]) -> None:
    silent, slow = [Trickle(web) for web in webs.values()], list[Trickle]()
    for program, web in webs.items():
        first_line = b"POST /v1/runs HTTP/1.1\r\n"
        slow += [
            Trickle(web, first_line, again=b"x"),
            Trickle(web, posting(web, Content_Length="1000000"), again=b" "),
            Trickle(web, posting(web, Content_Length="99"), BODIES[program]),
            Trickle(web, posting(web, Transfer_Encoding="chunked"), b"5\r\n{"),
            Trickle(web, posting(web, Content_Length="2"), b"{}", first_line, again=b"x"),
        ]

    def are_cut_off() -> bool:
        assert all(still_answers(web) for web in webs.values())
        return all([trickle.is_cut_off for trickle in silent + slow])  # noqa: C419  # each gets its next piece

    eventually(are_cut_off, seconds=60)
    assert [trickle.is_told() for trickle in slow] == [True] * len(slow)
    assert [trickle.is_told() for trickle in silent] == [False] * len(silent)


@contextlib.contextmanager
def files_to_open() -> Iterator[int]:
    """As many as this process may open at all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_very_many_idle_connections_keep_nobody_out(strict: Settings, tmp_path: Path) -> None:
    """Far more than the files that the program may open, and it has patience with them."""
    patient = dataclasses.replace(strict, client_seconds=600.0)
    scoring = Web(patient, tmp_path / "log", "scoring", most_files=FILES)
    with running(scoring), files_to_open() as most, contextlib.ExitStack() as held:
        for number in range(min(MANY, most // 2)):
            held.enter_context(scoring.connect())
            if number % 200 == 0:
                assert still_answers(scoring)
        assert scoring.post(ROUTES["scoring"], BODIES["scoring"]).status_code == 200
        assert psutil.Process(scoring.process.pid).num_fds() <= FILES


def test_a_head_without_end_is_refused_before_it_is_kept(web: Web) -> None:
    before = psutil.Process(web.process.pid).memory_info().rss
    for large in (b"x: " + b"y" * 1_000_000, b"x: y\r\n" * 200_000, b""):
        path = b"/" + b"a" * (0 if large else 1_000_000)
        status, told = web.send(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + large + b"\r\n\r\n")
        assert (status, told["code"]) == (431, "head_too_large")
        assert told.keys() >= EXPLAINED
    trailers = b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 200_000
    with contextlib.suppress(ConnectionError):  # the app may have answered the body before
        assert web.send(posting(web, Transfer_Encoding="chunked"), trailers)[0] in (431, 400)
    assert psutil.Process(web.process.pid).memory_info().rss < before + 50_000_000
    assert still_answers(web)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content_Length": "5"}, b"{}"[:1] * 5 + b"not the next request"),
        ({"Content_Length": "-1"}, b"{}"),
        ({"Content_Length": "two"}, b"{}"),
        ({"Content_Length": "9" * 30}, b"{}"),
        ({"Content_Length": "2\r\nContent-Length: 3"}, b"{}"),
        ({"Content_Length": "2", "Transfer_Encoding": "chunked"}, b"{}"),
        ({"Transfer_Encoding": "chunked"}, b"zz\r\n{}\r\n0\r\n\r\n"),
        ({"Transfer_Encoding": "chunked"}, b"-2\r\n{}\r\n0\r\n\r\n"),
        ({"Transfer_Encoding": "chunked"}, b"2\r\n{}garbage\r\n"),
        ({"Transfer_Encoding": "chunked"}, b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n"),
    ],
)
def test_a_body_of_another_size_than_announced_is_a_400(
    web: Web, headers: dict[str, str], body: bytes
) -> None:
    status, told = web.send(posting(web, **headers), body)
    assert status == 400
    assert {"message", "code", "hint", "request_id"} <= told.keys()
    assert still_answers(web)


@pytest.mark.parametrize(
    "line", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x00" * 99]
)
def test_what_is_no_http_has_the_one_body(web: Web, line: bytes) -> None:
    status, told = web.send(line)
    assert status == 400
    assert told.keys() >= EXPLAINED


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity"])
def test_a_compressed_body_is_refused_unread(web: Web, coding: str) -> None:
    """A hundred thousand times as large when unpacked, it costs what was sent."""
    bomb = gzip.compress(b" " * 5_000_000)
    answer = web.post(ROUTES[web.program], bomb, **{"content-encoding": coding})
    assert answer.status_code == 415
    told = answer.json()
    assert told["at"] == "header content-encoding"
    assert told["got"] == coding
    assert "identity" in answer.headers["accept-encoding"]
    plain = web.post(ROUTES[web.program], BODIES[web.program], **{"content-encoding": "identity"})
    assert plain.status_code in (200, 202)


def test_a_command_that_a_refusal_on_the_wire_carries_is_answered(web: Web) -> None:
    with web.connect() as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        _, told = answered(connection)
    assert told["curl"] == f"curl {web.url}/healthz"
