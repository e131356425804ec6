"""Models over HTTP."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from fitq import model_settings, registry, upkeep
from fitq.api.downloads import download
from fitq.api.responses import (
    backend_of,
    body_of,
    bounded,
    decoded,
    expected_revision,
    json_response,
    settings_of,
    with_body,
    with_revision,
)
from fitq.errors import InvalidRequest, NotFound, TooLarge
from fitq.records import (
    ChangeRequest,
    ModelRecord,
    ModelSettings,
    RegisterRequest,
    to_builtins,
)
from fitq.store.catalog import ModelSummary
from fitq.store.checked import open_checked

#: Most JSON beside an uploaded file; as much again is left for the frame around both.
_METADATA_BYTES = 1 << 20


class AliasRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/models/{name}/aliases/{alias}`."""

    version: int


async def register(request: Request) -> Response:
    """`POST /v1/models`: JSON about a run's file, or multipart with a file of the caller's."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        record = await _register_upload(request)
    else:
        body = await body_of(request, RegisterRequest)
        record = await run_in_threadpool(
            registry.register,
            backend_of(request),
            body,
            environments=request.app.state.environments,
            memory_bytes=settings_of(request).scorer_memory_bytes,
            confinement=request.app.state.confinement,
        )
    return json_response(_model(request, record), 201, location=f"/v1/models/{record.name}")


async def _register_upload(request: Request) -> ModelRecord:
    limit = settings_of(request).model_bytes
    whole = bounded(request, limit + 2 * _METADATA_BYTES)
    async with whole.form(max_files=1, max_fields=1, max_part_size=_METADATA_BYTES) as form:
        file, metadata = form.get("file"), form.get("metadata")
        if not isinstance(file, UploadFile) or not isinstance(metadata, str):
            raise InvalidRequest(
                "A model upload has two fields: file, and metadata with JSON.",
                at="file" if not isinstance(file, UploadFile) else "metadata",
                hint='curl -F metadata=\'{"name": "iris"}\' -F file=@model.joblib …/v1/models',
            )
        body = decoded(metadata.encode(), RegisterRequest)
        with tempfile.TemporaryDirectory(prefix="fitq-upload-") as folder:
            name = Path(file.filename or "model.joblib").name or "model.joblib"
            target = Path(folder, "upload")
            await run_in_threadpool(_save, file, target, limit)
            return await run_in_threadpool(
                registry.register,
                backend_of(request),
                body,
                upload=target,
                upload_name=name,
                environments=request.app.state.environments,
                memory_bytes=settings_of(request).scorer_memory_bytes,
                confinement=request.app.state.confinement,
                allowed=settings_of(request).model_names.replace(",", " ").split(),
            )


def _save(file: UploadFile, target: Path, limit: int) -> None:
    size = 0
    with target.open("xb") as out:
        while piece := file.file.read(1 << 20):
            size += len(piece)
            if size > limit:
                raise TooLarge(f"A model file may have {limit} bytes.", expected=limit)
            out.write(piece)


def list_models(request: Request) -> Response:
    """`GET /v1/models`."""
    found = backend_of(request).catalog.summaries()
    return json_response({"models": [_summary(request, s) for s in found]})


def get_model(request: Request) -> Response:
    """`GET /v1/models/{name}`: all its versions, newest first."""
    models = backend_of(request).catalog
    summary = models.summary(request.path_params["model"])
    records = [models.model(summary.name, v) for v in reversed(summary.versions)]
    shown = _summary(request, summary)
    answer = json_response({**shown, "records": [_model(request, r) for r in records]})
    return with_revision(answer, model_settings.kept_settings(backend_of(request), summary.name)[1])


@with_body(ModelSettings)
def put_model(request: Request, body: ModelSettings) -> Response:
    """`PUT /v1/models/{name}`: makes aliases, description and tags exactly these."""
    name, expected = request.path_params["model"], expected_revision(request)
    model_settings.configure(backend_of(request), name, body, expected=expected)
    return get_model(request)


def get_version(request: Request) -> Response:
    """`GET /v1/models/{name}/versions/{v}`: by number or alias."""
    return json_response(_model(request, _found(request)))


def get_file(request: Request) -> Response:
    """`GET /v1/models/{name}/versions/{v}/file`."""
    model = _found(request)
    pieces = open_checked(backend_of(request).objects, model.object_key, model.sha256)
    if pieces is None:
        raise NotFound(f"The bytes of model {model.id} are not in the object store any more.")
    return download(pieces, Path(model.path).name, model.size_bytes)


@with_body(AliasRequest)
def put_alias(request: Request, body: AliasRequest) -> Response:
    """`PUT /v1/models/{name}/aliases/{alias}`."""
    name, alias = request.path_params["model"], request.path_params["alias"]
    backend, expected = backend_of(request), expected_revision(request)
    model_settings.set_alias(backend, name, alias, body.version, expected=expected)
    return get_alias(request)


def get_alias(request: Request) -> Response:
    """`GET /v1/models/{name}/aliases/{alias}`: the version that it means."""
    name, alias = request.path_params["model"], request.path_params["alias"]
    version, revision = model_settings.find_alias(backend_of(request), name, alias)
    return with_revision(json_response({"name": name, "alias": alias, "version": version}), revision)


def delete_alias(request: Request) -> Response:
    """`DELETE /v1/models/{name}/aliases/{alias}`: 204 also when there is none."""
    name, alias = request.path_params["model"], request.path_params["alias"]
    model_settings.remove_alias(backend_of(request), name, alias, expected=expected_revision(request))
    return Response(status_code=204)


@with_body(ChangeRequest)
def patch_version(request: Request, body: ChangeRequest) -> Response:
    """`PATCH /v1/models/{name}/versions/{v}`: tags, description, and whether other answers are tolerated."""
    name, version = request.path_params["model"], request.path_params["version"]
    return json_response(_model(request, upkeep.change(backend_of(request), name, version, body)))


def approve_file(request: Request) -> Response:
    """`PUT /v1/approvals/{sha256}`: a model file with these bytes is loaded whatever it imports."""
    sha256 = request.path_params["sha256"]
    upkeep.approve_file(backend_of(request), sha256)
    return json_response({"sha256": sha256})


def delete_model(request: Request) -> Response:
    """`DELETE /v1/models/{name}`: every version of it."""
    upkeep.delete_model(backend_of(request), request.path_params["model"])
    return Response(status_code=204)


def delete_version(request: Request) -> Response:
    """`DELETE /v1/models/{name}/versions/{v}`: by number."""
    version = upkeep.check_number(request.path_params["version"])
    upkeep.delete_version(backend_of(request), request.path_params["model"], version)
    return Response(status_code=204)


def _found(request: Request) -> ModelRecord:
    models = backend_of(request).catalog
    return models.model(request.path_params["model"], request.path_params["version"])


def _summary(request: Request, summary: ModelSummary) -> dict[str, Any]:
    return {
        "name": summary.name,
        "latest_version": summary.versions[-1],
        "versions": summary.versions,
        "aliases": summary.aliases,
        "description": summary.about.description,
        "tags": summary.about.tags,
        "latest": _model(request, summary.latest),
    }


def _model(request: Request, model: ModelRecord) -> dict[str, Any]:
    base = settings_of(request).scoring_url
    uri = f"{base}/models/{model.name}/versions/{model.version}/score"
    shown: dict[str, Any] = to_builtins(model)
    del shown["nonce"], shown["deleted_at"]
    return {"id": model.id, **shown, "scoring_uri": uri if model.is_scored else ""}
