"""The log of a run over HTTP: a piece of it, or all of it as it grows, as text or as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fitq import runs
from fitq.api.responses import backend_of, bool_query, int_query, whole_number
from fitq.errors import Unavailable
from fitq.logs import get_logger

log = get_logger(__name__)
_FOLLOW_SECONDS = 0.15
_PIECE_BYTES = 1 << 18
_NOSNIFF = {"x-content-type-options": "nosniff"}


async def get_logs(request: Request) -> Response:
    """`GET /v1/runs/{id}/logs?offset=N&follow=true`, as text or as server-sent events."""
    backend, run_id = backend_of(request), request.path_params["run"]
    await run_in_threadpool(runs.find, backend, run_id)
    if "text/event-stream" in request.headers.get("accept", ""):
        seen = whole_number(request.headers.get("last-event-id", ""))
        start = int_query(request, "offset", 0) if seen is None else seen
        return EventSourceResponse(
            log_events(request, run_id, start), headers={"x-accel-buffering": "no"}, ping=15
        )
    offset = int_query(request, "offset", 0)
    if bool_query(request, "follow"):
        return StreamingResponse(
            _follow(request, run_id, offset), media_type="text/plain; charset=utf-8", headers=_NOSNIFF
        )
    piece = await run_in_threadpool(runs.read_log, backend, run_id, offset, 4 << 20)
    headers = {
        "x-fitq-next-offset": str(piece.next_offset),
        "x-fitq-complete": str(piece.complete).lower(),
        **_NOSNIFF,
    }
    return Response(piece.data, media_type="text/plain; charset=utf-8", headers=headers)


async def _pieces(request: Request, run_id: str, offset: int) -> AsyncIterator[runs.LogPiece]:
    """The log from `offset` as it grows, until the run is final, a store goes away or this program stops.

    A stream has begun and cannot become an error any more: it ends early, and readers come back.
    """
    while not request.app.state.is_stopping():
        try:
            piece = await run_in_threadpool(runs.read_log, backend_of(request), run_id, offset, _PIECE_BYTES)
        except Unavailable as exc:
            log.warning("log_stream_cut", run_id=run_id, error=exc.message)
            return
        offset = piece.next_offset
        yield piece
        if piece.complete:
            return
        if not piece.data:
            await anyio.sleep(_FOLLOW_SECONDS)


async def _follow(request: Request, run_id: str, offset: int) -> AsyncIterator[bytes]:
    async for piece in _pieces(request, run_id, offset):
        if piece.data:
            yield piece.data


async def log_events(request: Request, run_id: str, offset: int) -> AsyncIterator[ServerSentEvent]:
    """Events `log` (id = byte offset after it), `status`, and `end` with the final status.

    Only whole characters are sent: a piece that ends inside one keeps those bytes for the next event,
    so that a reader who reconnects with the last id loses and repeats nothing.
    """
    backend, shown = backend_of(request), ""
    held = b""
    async for piece in _pieces(request, run_id, offset):
        text, held = _whole_characters(held + piece.data, final=piece.complete)
        if text:
            yield ServerSentEvent(
                data=msgspec.json.encode(text).decode(),
                event="log",
                id=str(piece.next_offset - len(held)),
            )
        try:
            status = (await run_in_threadpool(runs.find, backend, run_id)).status.value
        except Unavailable:
            return
        if status != shown:
            shown = status
            yield ServerSentEvent(data=status, event="status")
        if piece.complete:
            yield ServerSentEvent(data=status, event="end")


def _whole_characters(data: bytes, *, final: bool) -> tuple[str, bytes]:
    """Text, and the bytes of a character that has not arrived whole (at most 3)."""
    if not final:
        for back in range(1, min(4, len(data)) + 1):
            lead = data[-back]
            if lead & 0xC0 == 0x80:
                continue
            width = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
            if width > back:
                return data[:-back].decode("utf-8", "replace"), data[-back:]
            break
    return data.decode("utf-8", "replace"), b""
