"""The HTTP contract as Python: one method per route, records in and out, errors as the server's classes."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec

from fitq.errors import InvalidRequest, Unavailable
from fitq.records import (
    ArtifactRecord,
    EndpointRequest,
    FunctionRecord,
    MetricPoint,
    PoolRecord,
    PoolSettings,
    RegisterRequest,
    RunRecord,
    RunRequest,
)
from fitq.sdk.answers import (
    AliasAnswer,
    DeployedEndpoint,
    EndpointKeys,
    ExperimentSummary,
    LogPiece,
    ModelSummary,
    RegisteredModel,
    RunEvent,
    RunPage,
    read_answer,
)
from fitq.sdk.connection import Connection, find_connection
from fitq.sdk.follow import follow
from fitq.sdk.http import Http, check_address, decoded, json_body
from fitq.sdk.transfer import counted, download, multipart

_SNAPSHOT_PROGRESS = "Uploading snapshot"


class Client:
    """Speaks to one platform.

    Example:
        >>> client = Client.from_config()
        >>> client.score("iris", {"data": [[5.1, 3.5, 1.4, 0.2]]})
        [[0.98, 0.01, 0.01]]

    Every method raises the `fitq.errors` class that the platform answered, and Unavailable if nothing does.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        scoring_url: str = "",
        *,
        transport: httpx2.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
        connection: Connection | None = None,
    ) -> None:
        """`url` and `scoring_url` are addresses such as http://127.0.0.1:8700; `transport` and `pause` are
        for tests and in-process use."""
        self.url = check_address("FITQ_URL", url)
        self.scoring_url = check_address("FITQ_SCORING_URL", scoring_url) if scoring_url else ""
        self.connection = connection or Connection(url=self.url, scoring_url=self.scoring_url, token=token)
        self.http = Http(token, transport=transport, pause=pause)

    @classmethod
    def from_config(cls, start: str | os.PathLike[str] | None = None) -> Client:
        """A client of the platform that `FITQ_URL` … or the nearest configuration file names.

        Raises:
            NotFound: neither does; says how to get one.
        """
        return cls.connect(find_connection(start))

    @classmethod
    def connect(cls, connection: Connection) -> Client:
        """A client of this platform."""
        return cls(connection.url, connection.token, connection.scoring_url, connection=connection)

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    # Plain verbs

    def get(self, path: str, **params: Any) -> Any:
        """Decoded JSON of `GET path`; parameters that are None are left out."""
        given = {k: v for k, v in params.items() if v is not None}
        return self._exchange("GET", path, repeatable=True, params=given)

    def post(
        self, path: str, body: object = None, *, repeatable: bool = False, headers: Mapping[str, str] = {}
    ) -> Any:
        """Decoded JSON of `POST path`. `repeatable`: the server may safely receive it twice."""
        return self._send_body("POST", path, body, repeatable, headers)

    def put(self, path: str, body: object = None) -> Any:
        """Decoded JSON of `PUT path`."""
        return self._send_body("PUT", path, body, True, {})

    def patch(self, path: str, body: object = None) -> Any:
        """Decoded JSON of `PATCH path`."""
        return self._send_body("PATCH", path, body, True, {})

    def delete(self, path: str) -> Any:
        """Decoded JSON of `DELETE path`; usually None."""
        return self._exchange("DELETE", path, repeatable=True)

    def _send_body(
        self, method: str, path: str, body: object, repeatable: bool, headers: Mapping[str, str]
    ) -> Any:
        if body is None:
            return self._exchange(method, path, repeatable=repeatable, headers=dict(headers))
        kind = {"Content-Type": "application/json", **headers}
        return self._exchange(method, path, repeatable=repeatable, headers=kind, content=json_body(body))

    def _exchange(self, method: str, path: str, *, repeatable: bool, **options: Any) -> Any:
        response = self.http.send(method, self.url + path, repeatable=repeatable, build=lambda: options)
        return decoded(response)

    def health(self) -> bool:
        """Whether the control plane is ready for work."""
        try:
            self.get("/readyz")
        except Unavailable:
            return False
        return True

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
        return read_answer(self.post("/v1/runs", _said(request), repeatable=True, headers=headers), RunRecord)

    def get_run(self, run_id: str) -> RunRecord:
        """The run as it is now."""
        return read_answer(self.get(f"/v1/runs/{_part(run_id)}"), RunRecord)

    def list_runs(
        self,
        *,
        experiment: str | None = None,
        status: str | None = None,
        tags: Mapping[str, str] = {},
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
        return read_answer(self.post(f"/v1/runs/{_part(run_id)}/cancel", repeatable=True), RunRecord)

    def read_log(self, run_id: str, offset: int = 0) -> LogPiece:
        """What the run's log holds from byte `offset` on; perhaps not all of it at once."""
        response = self.http.send(
            "GET",
            f"{self.url}/v1/runs/{_part(run_id)}/logs",
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
        return follow(self.http, f"{self.url}/v1/runs/{_part(run_id)}/logs", offset)

    def stream_log(self, run_id: str, *, offset: int = 0) -> Iterator[str]:
        """The run's log from byte `offset` as it grows, each byte once, until the run is final."""
        return (event.text for event in self.follow_run(run_id, offset=offset) if event.kind == "log")

    def metrics(self, run_id: str) -> dict[str, list[MetricPoint]]:
        """What the run logged: name → points in the order of logging."""
        answer = self.get(f"/v1/runs/{_part(run_id)}/metrics")["metrics"]
        return {
            name: [read_answer({"name": name, **point}, MetricPoint) for point in points]
            for name, points in answer.items()
        }

    def artifacts(self, run_id: str) -> list[ArtifactRecord]:
        """The files the run left behind."""
        answer = self.get(f"/v1/runs/{_part(run_id)}/artifacts")["artifacts"]
        return [read_answer(artifact, ArtifactRecord) for artifact in answer]

    def download_artifact(self, run_id: str, path: str, target: str | os.PathLike[str]) -> Path:
        """Write one of the run's files to `target`; the whole file or none."""
        return download(
            self.http, f"{self.url}/v1/runs/{_part(run_id)}/artifacts/{quote(path)}", Path(target)
        )

    def download_snapshot(self, run_id: str, target: str | os.PathLike[str]) -> Path:
        """Write the run's snapshot (gzip tar) to `target`."""
        return download(self.http, f"{self.url}/v1/runs/{_part(run_id)}/snapshot", Path(target))

    # What can be run, and where

    def experiments(self) -> list[ExperimentSummary]:
        """Every experiment."""
        return [read_answer(e, ExperimentSummary) for e in self.get("/v1/experiments")["experiments"]]

    def functions(self) -> list[FunctionRecord]:
        """The training functions that live workers know."""
        return [read_answer(f, FunctionRecord) for f in self.get("/v1/functions")["functions"]]

    def pools(self) -> list[PoolRecord]:
        """Every pool, with what waits and who works."""
        return [read_answer(p, PoolRecord) for p in self.get("/v1/pools")["pools"]]

    def get_pool(self, name: str) -> PoolRecord:
        """One pool."""
        return read_answer(self.get(f"/v1/pools/{_part(name)}"), PoolRecord)

    def configure_pool(self, name: str, settings: PoolSettings) -> PoolRecord:
        """Say how many workers a pool should have."""
        return read_answer(self.put(f"/v1/pools/{_part(name)}", settings), PoolRecord)

    # Models

    def register_model(self, request: RegisterRequest, file: Path | None = None) -> RegisteredModel:
        """The next version of a model: a file of the run that `request` names, or an uploaded `file`."""
        if file is None:
            return read_answer(self.post("/v1/models", _said(request)), RegisteredModel)
        with multipart(file, {"metadata": json_body(_said(request)).decode()}) as build:
            response = self.http.send("POST", f"{self.url}/v1/models", repeatable=False, build=build)
        return read_answer(decoded(response), RegisteredModel)

    def list_models(self) -> list[ModelSummary]:
        """Every model with its versions and aliases."""
        return [read_answer(m, ModelSummary) for m in self.get("/v1/models")["models"]]

    def get_model_summary(self, name: str) -> ModelSummary:
        """One model with the records of its versions."""
        return read_answer(self.get(f"/v1/models/{_part(name)}"), ModelSummary)

    def get_model(self, name: str, version: int | str | None = None) -> RegisteredModel:
        """One version of a model; the newest if None."""
        if version is None:
            version = self.get_model_summary(name).latest_version
        return read_answer(self.get(f"/v1/models/{_part(name)}/versions/{_part(version)}"), RegisteredModel)

    def download_model(self, name: str, version: int | str, target: str | os.PathLike[str]) -> Path:
        """Write a model's file to `target`."""
        url = f"{self.url}/v1/models/{_part(name)}/versions/{_part(version)}/file"
        return download(self.http, url, Path(target))

    def set_alias(self, name: str, alias: str, version: int) -> AliasAnswer:
        """Let an alias such as `champion` point to a version."""
        path = f"/v1/models/{_part(name)}/aliases/{_part(alias)}"
        return read_answer(self.put(path, {"version": version}), AliasAnswer)

    # Endpoints

    def deploy(self, name: str, request: EndpointRequest) -> DeployedEndpoint:
        """Create or replace an endpoint."""
        return read_answer(self.put(f"/v1/endpoints/{_part(name)}", _said(request)), DeployedEndpoint)

    def endpoints(self) -> list[DeployedEndpoint]:
        """Every endpoint."""
        return [read_answer(e, DeployedEndpoint) for e in self.get("/v1/endpoints")["endpoints"]]

    def get_endpoint(self, name: str) -> DeployedEndpoint:
        """One endpoint."""
        return read_answer(self.get(f"/v1/endpoints/{_part(name)}"), DeployedEndpoint)

    def delete_endpoint(self, name: str) -> None:
        """Take an endpoint away; its model stays."""
        self.delete(f"/v1/endpoints/{_part(name)}")

    def keys(self, endpoint: str) -> EndpointKeys:
        """An endpoint's keys."""
        return read_answer(self.get(f"/v1/endpoints/{_part(endpoint)}/keys"), EndpointKeys)

    def regenerate_key(self, endpoint: str, which: str) -> EndpointKeys:
        """Replace the primary or secondary key; the old one stops working."""
        path = f"/v1/endpoints/{_part(endpoint)}/keys/{_part(which)}/regenerate"
        return read_answer(self.post(path), EndpointKeys)

    # Scoring

    def score(self, model: str, body: object, version: int | str | None = None) -> Any:
        """What a model answers to a body such as `{"data": [[5.1, 3.5, 1.4, 0.2]]}` (or its JSON text)."""
        pinned = f"/versions/{_part(version)}" if version is not None else ""
        return self._score(f"/models/{_part(model)}{pinned}/score", body, None)

    def endpoint_score(self, endpoint: str, body: object, key: str | None = None) -> Any:
        """What an endpoint answers; with the client's token unless a key is given."""
        return self._score(f"/api/v1/service/{_part(endpoint)}/score", body, key)

    def _score(self, path: str, body: object, key: str | None) -> Any:
        if not self.scoring_url:
            raise InvalidRequest("The scoring address is not known.", hint="Set FITQ_SCORING_URL.")
        options = {"content": json_body(body), "headers": {"Content-Type": "application/json"}}
        url = self.scoring_url + path
        return decoded(self.http.send("POST", url, repeatable=True, build=lambda: options, token=key))


def _part(value: object) -> str:
    """One segment of an address; a slash in a name cannot leave it."""
    return quote(str(value), safe="")


def _said(request: msgspec.Struct) -> dict[str, Any]:
    """What the caller said, without fields left at their default: an older server knows fewer of them."""
    values: dict[str, Any] = msgspec.to_builtins(request)
    fields = {f.encode_name: f.default for f in msgspec.structs.fields(request)}
    defaults = {k: msgspec.to_builtins(v) for k, v in fields.items() if v is not msgspec.NODEFAULT}
    return {k: v for k, v in values.items() if v not in ([], {}) and (k not in defaults or v != defaults[k])}
