"""JSON that nobody would send on purpose: each program refuses it with a 4xx and keeps none of it."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.faults.test_connections import BODIES, ROUTES
from tests.faults.web import EXPLAINED, Web

#: What stands in the place of a value.
VALUES = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "beyond every float": b"1e400",
    "5,000 digits": b"9" * 5000,
    "5,000 digits and a fraction": b"9" * 5000 + b".5",
    "no UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\x80"',
    "lone surrogate": b'"\\ud800"',
    "surrogates the wrong way round": b'"\\udc00\\ud800"',
    "raw control character": b'"\n"',
    "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 deep without an end": b"[" * 100_000,
    "wrong type": b'{"a": [true]}',
    "a comma too many": b"[1,]",
}
#: Where: in a field that is read, in one that is not known, and alone.
PLACES = {
    "api": [
        b'{"function": "iris", "parameters": {"penalty": %s}}',
        b'{"function": "iris", "environment": {"pip": %s}}',
        b'{"function": "iris", "timeout_seconds": %s}',
        b'{"function": "iris", "no_such_field": %s}',
        b"%s",
    ],
    "scoring": [
        b'{"data": [[5.1, 3.5, 1.4, %s]]}',
        b'{"data": %s}',
        b'{"data": [[5.1, 3.5, 1.4, 0.2]], "method": %s}',
        b'{"data": [[5.1, 3.5, 1.4, 0.2]], "no_such_field": %s}',
        b"%s",
    ],
}
#: A long list of these is read by the code for large bodies.
TWICE = {
    "api": [
        b'{"function": "iris", "function": "iris"}',
        b'{"function": "iris", "functi\\u006fn": "other"}',
        b'{"function": "iris", "parameters": {"penalty": 1, "penalty": 2}}',
        b'{"function": "iris", "tags": {"a:b": "c:d", "a:b": "c:d"}}',
    ],
    "scoring": [
        b'{"data": [[5.1, 3.5, 1.4, 0.2]], "data": [[5.1, 3.5, 1.4, 0.3]]}',
        b'{"data": [' + b"[5.1, 3.5, 1.4, 0.2], " * 500 + b'[5, 3, 1, 0]], "data": [[5, 3, 1, 0]]}',
    ],
}


def refused(web: Web, body: bytes | Iterator[bytes], *statuses: int) -> None:
    answer = web.post(ROUTES[web.program], body)
    told = answer.json()
    assert answer.status_code in statuses, (answer.status_code, told)
    assert {"message", "code", "hint", "request_id"} <= told.keys()
    if web.program == "scoring":
        assert told.keys() >= EXPLAINED


@pytest.mark.parametrize("value", VALUES)
def test_a_value_that_is_none_is_refused_wherever_it_stands(web: Web, value: str) -> None:
    for place in PLACES[web.program]:
        refused(web, place.replace(b"%s", VALUES[value]), 400)


def test_a_field_that_is_there_twice_is_refused(web: Web) -> None:
    for body in TWICE[web.program]:
        refused(web, body, 400)


def test_what_is_not_an_object_of_known_fields_is_refused(web: Web) -> None:
    for body in (
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b'{"a" 1}',
        b"{'a': 1}",
    ):
        refused(web, body, 400)
    refused(web, BODIES[web.program][:-1] + b', "no_such_field": 1}', 400)
    refused(web, BODIES[web.program][:-1] + b', "\\u0000": 1}', 400)


def test_200_megabytes_are_refused_and_never_kept(web: Web) -> None:
    """Announced or not, by number of bytes or in chunks."""
    process = psutil.Process(web.process.pid)
    before = process.memory_info().rss
    piece = b" " * 1_000_000
    refused(web, (piece for _ in range(200)), 413)
    with web.connect() as connection:
        connection.sendall(
            f"POST {ROUTES[web.program]} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer test-token\r\n"
            "Content-Type: application/json\r\nContent-Length: 200000000\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")  # before any of it was sent
    assert process.memory_info().rss < before + 60_000_000
    assert web.post(ROUTES[web.program], BODIES[web.program]).status_code in (200, 202)
