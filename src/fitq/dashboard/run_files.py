"""What a run wrote, as bytes: its whole log, its log as it grows, its artifacts as downloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import PurePosixPath
from urllib.parse import quote

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fitq import runs
from fitq.dashboard.headers import SANDBOX
from fitq.dashboard.logtext import log_text, whole_part
from fitq.dashboard.site import Site, site_of
from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.records import RunRecord
from fitq.store.checked import checked

log = get_logger(__name__)
_POLL_SECONDS = 0.4
_REFRESH_SECONDS = 3.0
_PING_SECONDS = 15
_PIECE_BYTES = 128 * 1024


def whole_log(request: Request) -> Response:
    """`/runs/{id}/log`: everything so far, as the run printed it."""
    site = site_of(request)
    run = runs.find(site.backend, request.path_params["id"])
    pieces = _log_pieces(site, run.id)
    return StreamingResponse(
        pieces, media_type="text/plain; charset=utf-8", headers={"content-security-policy": SANDBOX}
    )


def _log_pieces(site: Site, run_id: str) -> Iterator[bytes]:
    offset = 0
    while data := runs.read_log(site.backend, run_id, offset).data:
        offset += len(data)
        yield data


def artifact(request: Request) -> Response:
    """`/runs/{id}/artifacts/{path}`: always a download, whatever its name says it is."""
    site = site_of(request)
    run = runs.find(site.backend, request.path_params["id"])
    found, pieces = runs.open_artifact(site.backend, run, request.path_params["path"])
    name = quote(PurePosixPath(found.path).name, safe="")
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{name}",
        "content-security-policy": SANDBOX,
    }
    if found.sha256:  # else it still grows
        pieces = checked(pieces, f"{found.path} of run {run.id}", found.sha256)
        headers["content-length"] = str(found.size_bytes)
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


async def events(request: Request) -> Response:
    """`/runs/{id}/events?offset=&attempt=`: the log from there on, until the run is final.

    Events: `log` (JSON text; the id is the byte offset after it), `restart` (another attempt began, its
    log starts anew), `changed` (something else on the page may be new), `end` (the final status).
    """
    site = site_of(request)
    run = await run_in_threadpool(runs.find, site.backend, request.path_params["id"])
    offset = _offset(request.headers.get("last-event-id") or request.query_params.get("offset", ""))
    seen = request.query_params.get("attempt", str(run.attempt))
    return EventSourceResponse(_until_away(_follow(site, run.id, seen, offset)), ping=_PING_SECONDS)


def _offset(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


async def _until_away(events: AsyncIterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    """End the stream when a store is away; the browser comes back and goes on at the last offset."""
    try:
        async for event in events:
            yield event
    except Unavailable as exc:
        log.warning("live_log_interrupted", error=exc.message)


async def _follow(site: Site, run_id: str, attempt: str, offset: int) -> AsyncIterator[ServerSentEvent]:
    sequence, idle_seconds = -1, 0.0
    while True:
        run, piece = await run_in_threadpool(_look, site, run_id, offset)
        if str(run.attempt) != attempt and attempt != "0":
            yield ServerSentEvent(event="restart", data=str(run.attempt), id="0")
            attempt, offset = str(run.attempt), 0
            continue
        attempt = str(run.attempt)
        shown = len(piece.data) if piece.complete else whole_part(piece.data)
        if shown:
            offset += shown
            text = json.dumps(log_text(piece.data[:shown]))
            yield ServerSentEvent(event="log", data=text, id=str(offset))
        if piece.complete:
            yield ServerSentEvent(event="end", data=str(run.status))
            return
        idle_seconds += _POLL_SECONDS
        if run.sequence != sequence or idle_seconds >= _REFRESH_SECONDS:
            # The page shows the state of a moment ago already: nothing is new at the first look.
            if sequence >= 0:
                yield ServerSentEvent(event="changed", data=str(run.status))
            sequence, idle_seconds = run.sequence, 0.0
        if len(piece.data) < _PIECE_BYTES:
            await asyncio.sleep(_POLL_SECONDS)


def _look(site: Site, run_id: str, offset: int) -> tuple[RunRecord, runs.LogPiece]:
    run = runs.find(site.backend, run_id)
    return run, runs.read_log(site.backend, run_id, offset, _PIECE_BYTES)
