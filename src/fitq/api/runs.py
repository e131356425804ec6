"""Runs, snapshots, experiments and functions over HTTP."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import anyio
import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fitq import child_runs, runs, submission
from fitq.api.responses import (
    backend_of,
    bool_query,
    bounded,
    int_query,
    json_response,
    settings_of,
    whole_number,
    with_body,
)
from fitq.errors import InvalidRequest, NotFound, Unavailable
from fitq.kept_snapshots import keep_snapshot
from fitq.logs import get_logger
from fitq.names import check_name
from fitq.records import RunRequest, RunStatus, to_builtins
from fitq.store.checked import checked, open_checked

log = get_logger(__name__)
_FOLLOW_SECONDS = 0.15
_PIECE_BYTES = 1 << 18
#: A tar has a header and padding per file, and gzip may not compress at all.
_SNAPSHOT_SLACK = 1.05


async def create_snapshot(request: Request) -> Response:
    """`POST /v1/snapshots`: a gzip tar as the body."""
    settings = settings_of(request)
    limit = int(settings.snapshot_bytes * _SNAPSHOT_SLACK) + 10_000_000
    with tempfile.TemporaryFile() as file:
        async for piece in bounded(request, limit).stream():
            file.write(piece)
        file.seek(0)
        sha256 = await run_in_threadpool(
            keep_snapshot,
            backend_of(request),
            cast(BinaryIO, file),
            max_bytes=settings.snapshot_bytes,
            max_files=settings.snapshot_files,
        )
    return json_response({"id": sha256}, 201)


@with_body(RunRequest)
def create_run(request: Request, body: RunRequest) -> Response:
    """`POST /v1/runs`."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= 200:
        raise InvalidRequest("Idempotency-Key must have 1 to 200 characters.", at="idempotency-key")
    run = submission.submit(backend_of(request), body, idempotency_key=key)
    return json_response(run, 202, location=f"/v1/runs/{run.id}")


def list_runs(request: Request) -> Response:
    """`GET /v1/runs?experiment=&status=&tag=&order=&limit=&cursor=`; `?parent=` for a run's child runs."""
    query = request.query_params
    if query.get("parent"):
        parent = runs.find(backend_of(request), query["parent"])
        children = child_runs.of(backend_of(request), parent)
        return json_response({"runs": children[::-1], "next_cursor": None})
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order is asc or desc.", at="order", got=order)
    page = runs.page(
        backend_of(request),
        experiment=check_name("experiment", query["experiment"]) if query.get("experiment") else None,
        status=_status(query.get("status")),
        tags=dict(_tag(text) for text in query.getlist("tag")),
        newest_first=order == "desc",
        limit=int_query(request, "limit", 50, least=1, most=1000),
        cursor=query.get("cursor"),
    )
    return json_response({"runs": page.runs, "next_cursor": page.next_cursor})


def _status(text: str | None) -> RunStatus | None:
    try:
        return RunStatus(text) if text else None
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not a status.", at="status", expected=[s.value for s in RunStatus]
        ) from None


def _tag(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def get_run(request: Request) -> Response:
    """`GET /v1/runs/{id}`."""
    return json_response(runs.find(backend_of(request), request.path_params["run"]))


def cancel_run(request: Request) -> Response:
    """`POST /v1/runs/{id}/cancel`."""
    return json_response(runs.cancel(backend_of(request), request.path_params["run"]), 202)


def get_metrics(request: Request) -> Response:
    """`GET /v1/runs/{id}/metrics`."""
    backend = backend_of(request)
    series = runs.metrics(backend, runs.find(backend, request.path_params["run"]))
    shown = {
        name: [{"value": p.value, "step": p.step, "at": to_builtins(p.at)} for p in points]
        for name, points in series.items()
    }
    return json_response({"metrics": shown})


def list_artifacts(request: Request) -> Response:
    """`GET /v1/runs/{id}/artifacts`."""
    backend = backend_of(request)
    found = runs.artifacts(backend, runs.find(backend, request.path_params["run"]))
    return json_response({"artifacts": found})


def get_artifact(request: Request) -> Response:
    """`GET /v1/runs/{id}/artifacts/{path}`: always a download, never a page."""
    backend = backend_of(request)
    run = runs.find(backend, request.path_params["run"])
    artifact, pieces = runs.open_artifact(backend, run, request.path_params["path"])
    if artifact.sha256:  # else the run still writes it
        pieces = checked(pieces, f"{artifact.path} of run {run.id}", artifact.sha256)
    return download(pieces, artifact.path.rpartition("/")[2], artifact.size_bytes)


def get_snapshot(request: Request) -> Response:
    """`GET /v1/runs/{id}/snapshot`."""
    backend = backend_of(request)
    run = runs.find(backend, request.path_params["run"])
    key = backend.keys.snapshot(run.snapshot or "")
    pieces = open_checked(backend.objects, key, run.snapshot) if run.snapshot else None
    if pieces is None:
        raise NotFound(f"Run {run.id!r} has no snapshot: it is a training function.")
    return download(pieces, f"{run.id}.tar.gz")


def download(pieces: Any, name: str, size_bytes: int | None = None) -> Response:
    """Bytes that a browser saves and never opens."""
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    if size_bytes is not None:
        headers["content-length"] = str(size_bytes)
    return StreamingResponse(pieces, headers=headers, media_type="application/octet-stream")


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


_NOSNIFF = {"x-content-type-options": "nosniff"}


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


def list_experiments(request: Request) -> Response:
    """`GET /v1/experiments`."""
    found = runs.experiments(backend_of(request))
    return json_response({"experiments": [{"name": e.name, "runs": e.runs} for e in found]})
