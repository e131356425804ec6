"""A run's log as it grows: server-sent events whose ids are byte offsets, so a lost line loses no byte."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2

from fitq.errors import Unavailable
from fitq.records import RunStatus
from fitq.sdk.answers import RunEvent
from fitq.sdk.http import Http, unreachable

_BARREN_RECONNECTS = 10  # connections in a row that brought nothing at all
_LONGEST_PAUSE_SECONDS = 3.0


def follow(http: Http, url: str, offset: int) -> Iterator[RunEvent]:
    """Events of a run from byte `offset` of its log until its final status.

    Args:
        url: of the run's log.

    Raises:
        Unavailable: the platform stayed away for longer than a restart takes.
    """
    barren = 0
    while True:
        problem: Exception | None = None
        try:
            for event in _connection(http, url, offset):
                barren = 0
                offset = event.offset
                yield event
                if event.kind == "end":
                    return
        except httpx2.TransportError as exc:
            problem = exc
        barren += 1
        if barren > _BARREN_RECONNECTS:
            raise unreachable(url, problem) if problem else _silent(url)
        http.pause(min(0.1 * 2**barren, _LONGEST_PAUSE_SECONDS))


def _connection(http: Http, url: str, offset: int) -> Iterator[RunEvent]:
    """What one connection brings, without what was seen before."""
    options = {"params": {"follow": "true", "offset": offset}, "headers": {"Accept": "text/event-stream"}}
    response = http.send("GET", url, repeatable=True, build=lambda: options, stream=True)
    try:
        for event in httpx2.EventSource(response):
            seen = _event(event, offset)
            if seen is not None:
                offset = seen.offset
                yield seen
    finally:
        response.close()


def _event(event: httpx2.ServerSentEvent, offset: int) -> RunEvent | None:
    if event.event == "log":
        text = json.loads(event.data)
        after = int(event.id) if event.id.isdigit() else offset + len(text.encode())
        return RunEvent(kind="log", text=text, offset=after) if after > offset else None
    if event.event in ("status", "end"):
        return RunEvent(kind=event.event, status=RunStatus(event.data.strip('"')), offset=offset)
    return None  # a sign of life, or something newer than this client


def _silent(url: str) -> Unavailable:
    return Unavailable(f"{url} closes without a word.", hint="Read the run's log later with: fitq runs logs")
