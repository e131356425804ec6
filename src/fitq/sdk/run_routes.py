"""The routes of runs, and of what can be run and where."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fitq.records import (
    ArtifactRecord,
    FunctionCode,
    FunctionRecord,
    FunctionRequest,
    MetricPoint,
    PoolRecord,
    PoolSettings,
    RunRecord,
    RunRequest,
)
from fitq.sdk.answers import ExperimentSummary, LogPiece, RunEvent, RunPage, read_answer
from fitq.sdk.exchange import Exchange, part, said
from fitq.sdk.follow import follow
from fitq.sdk.http import decoded
from fitq.sdk.transfer import counted, download

_SNAPSHOT_PROGRESS = "Uploading snapshot"


class RunRoutes(Exchange):
    """Submit, look at, follow and cancel runs."""

    # Runs

    def upload_snapshot(self, data: bytes) -> str:
        """Keep a packed folder (`fitq.snapshots.pack`); its id, the SHA-256 of the bytes."""
        headers = {"Content-Type": "application/gzip", "Content-Length": str(len(data))}
        response = self.http.send(
            "POST",
            f"{self.url}/v1/snapshots",
            repeatable=True,  # the same bytes get the same id
            build=lambda: {"content": counted(data, _SNAPSHOT_PROGRESS), "headers": headers},
        )
        return str(decoded(response)["id"])

    def submit_run(self, request: RunRequest, *, idempotency_key: str | None = None) -> RunRecord:
        """Queue a run. Sent again after a lost answer it stays one run."""
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        return read_answer(self.post("/v1/runs", said(request), repeatable=True, headers=headers), RunRecord)

    def get_run(self, run_id: str) -> RunRecord:
        """The run as it is now."""
        return read_answer(self.get(f"/v1/runs/{part(run_id)}"), RunRecord)

    def list_runs(
        self,
        *,
        experiment: str | None = None,
        status: str | None = None,
        tags: Mapping[str, str] = {},
        parent: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RunPage:
        """One page of runs, newest first unless `order` is "asc"."""
        wanted = [f"{k}={v}" for k, v in tags.items()] or None
        return read_answer(
            self.get(
                "/v1/runs",
                experiment=experiment,
                status=status,
                tag=wanted,
                parent=parent,
                order=order,
                limit=limit,
                cursor=cursor,
            ),
            RunPage,
        )

    def iter_runs(self, **wanted: Any) -> Iterator[RunRecord]:
        """All runs that `list_runs` would page through."""
        page = self.list_runs(**wanted)
        yield from page.runs
        while page.next_cursor:
            page = self.list_runs(**{**wanted, "cursor": page.next_cursor})
            yield from page.runs

    def cancel_run(self, run_id: str) -> RunRecord:
        """Ask for the run to stop; it is Canceled a moment later."""
        return read_answer(self.post(f"/v1/runs/{part(run_id)}/cancel", repeatable=True), RunRecord)

    def read_log(self, run_id: str, offset: int = 0) -> LogPiece:
        """What the run's log holds from byte `offset` on; perhaps not all of it at once."""
        response = self.http.send(
            "GET",
            f"{self.url}/v1/runs/{part(run_id)}/logs",
            repeatable=True,
            build=lambda: {"params": {"offset": offset}, "headers": {"Accept": "text/plain"}},
        )
        return LogPiece(
            data=response.content,
            next_offset=int(response.headers.get("x-fitq-next-offset", offset + len(response.content))),
            complete=response.headers.get("x-fitq-complete") == "true",
        )

    def read_whole_log(self, run_id: str) -> bytes:
        """The run's log up to now."""
        pieces = [self.read_log(run_id)]
        while pieces[-1].data and not pieces[-1].complete:
            pieces.append(self.read_log(run_id, pieces[-1].next_offset))
        return b"".join(piece.data for piece in pieces)

    def follow_run(self, run_id: str, *, offset: int = 0) -> Iterator[RunEvent]:
        """Log text and statuses as they come, until the run is final. Survives lost connections."""
        return follow(self.http, f"{self.url}/v1/runs/{part(run_id)}/logs", offset)

    def stream_log(self, run_id: str, *, offset: int = 0) -> Iterator[str]:
        """The run's log from byte `offset` as it grows, each byte once, until the run is final."""
        return (event.text for event in self.follow_run(run_id, offset=offset) if event.kind == "log")

    def metrics(self, run_id: str) -> dict[str, list[MetricPoint]]:
        """What the run logged: name → points in the order of logging."""
        answer = self.get(f"/v1/runs/{part(run_id)}/metrics")["metrics"]
        return {
            name: [read_answer({"name": name, **point}, MetricPoint) for point in points]
            for name, points in answer.items()
        }

    def artifacts(self, run_id: str) -> list[ArtifactRecord]:
        """The files the run left behind."""
        answer = self.get(f"/v1/runs/{part(run_id)}/artifacts")["artifacts"]
        return [read_answer(artifact, ArtifactRecord) for artifact in answer]

    def download_artifact(self, run_id: str, path: str, target: str | os.PathLike[str]) -> Path:
        """Write one of the run's files to `target`; the whole file or none."""
        return download(self.http, f"{self.url}/v1/runs/{part(run_id)}/artifacts/{quote(path)}", Path(target))

    def download_snapshot(self, run_id: str, target: str | os.PathLike[str]) -> Path:
        """Write the run's snapshot (gzip tar) to `target`."""
        return download(self.http, f"{self.url}/v1/runs/{part(run_id)}/snapshot", Path(target))

    # What can be run, and where

    def experiments(self) -> list[ExperimentSummary]:
        """Every experiment."""
        return [read_answer(e, ExperimentSummary) for e in self.get("/v1/experiments")["experiments"]]

    def functions(self) -> list[FunctionRecord]:
        """The training functions that live workers know."""
        return [read_answer(f, FunctionRecord) for f in self.get("/v1/functions")["functions"]]

    def get_function(self, name: str) -> FunctionCode:
        """What is published as a function's code, with its versions."""
        return read_answer(self.get(f"/v1/functions/{part(name)}"), FunctionCode)

    def publish_function(self, name: str, request: FunctionRequest) -> FunctionCode:
        """Make an uploaded folder the function's code; new runs get it."""
        return read_answer(self.put(f"/v1/functions/{part(name)}", said(request)), FunctionCode)

    def pools(self) -> list[PoolRecord]:
        """Every pool, with what waits and who works."""
        return [read_answer(p, PoolRecord) for p in self.get("/v1/pools")["pools"]]

    def get_pool(self, name: str) -> PoolRecord:
        """One pool."""
        return read_answer(self.get(f"/v1/pools/{part(name)}"), PoolRecord)

    def configure_pool(self, name: str, settings: PoolSettings) -> PoolRecord:
        """Say how many workers a pool should have."""
        return read_answer(self.put(f"/v1/pools/{part(name)}", settings), PoolRecord)
