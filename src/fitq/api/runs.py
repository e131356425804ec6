"""Runs, their snapshots and experiments over HTTP; their logs are in `run_logs.py`."""

from __future__ import annotations

import tempfile
from typing import BinaryIO, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from fitq import child_runs, runs, submission
from fitq.api.downloads import download
from fitq.api.responses import backend_of, bounded, int_query, json_response, settings_of, with_body
from fitq.errors import InvalidRequest, NotFound
from fitq.kept_snapshots import keep_snapshot
from fitq.names import check_name
from fitq.records import RunRequest, RunStatus, to_builtins
from fitq.store.checked import checked, open_checked

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


def list_experiments(request: Request) -> Response:
    """`GET /v1/experiments`."""
    found = runs.experiments(backend_of(request))
    return json_response({"experiments": [{"name": e.name, "runs": e.runs} for e in found]})
