"""Data over HTTP."""

from __future__ import annotations

import hashlib

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from fitq import data, data_settings
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
from fitq.backend import Backend
from fitq.data import PART_BYTES
from fitq.errors import InvalidRequest, NotFound
from fitq.names import did_you_mean
from fitq.records import (
    DataContentRequest,
    DataFile,
    DataRecord,
    DataRequest,
    DataSettings,
    to_builtins,
)

_MOST_FORM_FILES = 1000


class PartsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/data-parts/missing`."""

    parts: list[str]


class FormRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Field `metadata` of a multipart `POST /v1/data`."""

    name: str
    is_folder: bool | None = None  #: None: a folder if there are several files
    description: str = ""
    tags: dict[str, str] = {}


@with_body(PartsRequest)
def missing_data_parts(request: Request, body: PartsRequest) -> Response:
    """`POST /v1/data-parts/missing`: which of these parts have to be sent."""
    return json_response({"missing": data.missing_parts(backend_of(request), body.parts)})


async def put_data_part(request: Request) -> Response:
    """`PUT /v1/data-parts/{sha256}`: bytes of a file of data, at most 16 MiB of them."""
    content = await bounded(request, PART_BYTES).body()
    await run_in_threadpool(data.keep_part, backend_of(request), request.path_params["sha256"], content)
    return Response(status_code=204)


@with_body(DataContentRequest)
def keep_data_content(request: Request, body: DataContentRequest) -> Response:
    """`POST /v1/data-contents`: files of parts that were sent, without a name; answers the digest."""
    return json_response({"digest": data.keep_content(backend_of(request), body)}, 201)


async def add_data(request: Request) -> Response:
    """`POST /v1/data`: JSON about parts that were sent, or multipart with the files themselves."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body = await _sent_files(request)
    else:
        body = await body_of(request, DataRequest)
    record = await run_in_threadpool(data.add, backend_of(request), body)
    location = f"/v1/data/{record.name}/versions/{record.version}"
    return json_response(_shown(record), 201, location=location)


async def _sent_files(request: Request) -> DataRequest:
    limited = bounded(request, settings_of(request).model_bytes)
    async with limited.form(max_files=_MOST_FORM_FILES, max_fields=1) as form:
        metadata = form.get("metadata")
        files = [f for f in form.getlist("file") if isinstance(f, UploadFile)]
        if not files or not isinstance(metadata, str):
            raise InvalidRequest(
                "An upload of data has fields file, one or several, and metadata with JSON.",
                at="metadata" if files else "file",
                hint='curl -F metadata=\'{"name": "flowers"}\' -F file=@flowers.csv …/v1/data',
            )
        asked = decoded(metadata.encode(), FormRequest)
        kept = [await run_in_threadpool(_keep, backend_of(request), file) for file in files]
        return DataRequest(
            name=asked.name,
            files=kept,
            is_folder=len(kept) > 1 if asked.is_folder is None else asked.is_folder,
            description=asked.description,
            tags=asked.tags,
        )


def _keep(backend: Backend, file: UploadFile) -> DataFile:
    parts, size = list[str](), 0
    while content := file.file.read(PART_BYTES):
        parts.append(hashlib.sha256(content).hexdigest())
        size += len(content)
        data.keep_part(backend, parts[-1], content)
    return DataFile(path=file.filename or "file", size_bytes=size, parts=parts)


def list_data(request: Request) -> Response:
    """`GET /v1/data`: every name with its newest version."""
    backend = backend_of(request)
    return json_response({"data": [_summary(backend, name) for name in data.names(backend)]})


def get_data(request: Request) -> Response:
    """`GET /v1/data/{name}`."""
    backend, name = backend_of(request), request.path_params["data"]
    answer = json_response(_summary(backend, name))
    return with_revision(answer, data_settings.kept_settings(backend, name)[1])


@with_body(DataSettings)
def put_data(request: Request, body: DataSettings) -> Response:
    """`PUT /v1/data/{name}`: makes content that is there its newest version."""
    name, expected = request.path_params["data"], expected_revision(request)
    data_settings.configure(backend_of(request), name, body, expected=expected)
    return get_data(request)


def delete_data(request: Request) -> Response:
    """`DELETE /v1/data/{name}`: out of all lists; its versions can still be named. Twice is fine."""
    name, expected = request.path_params["data"], expected_revision(request)
    data_settings.withdraw(backend_of(request), name, expected=expected)
    return Response(status_code=204)


def get_data_version(request: Request) -> Response:
    """`GET /v1/data/{name}/versions/{version}`: its files, with the parts that they are made of."""
    return json_response(_shown(_found(request)))


def get_data_file(request: Request) -> Response:
    """`GET /v1/data/{name}/versions/{version}/files/{path}`: always a download."""
    record, path = _found(request), request.path_params["path"]
    file = next((f for f in record.files if f.path == path), None)
    if file is None:
        paths = [f.path for f in record.files]
        raise NotFound(
            f"{record.id} has no file {path!r}. {did_you_mean(path, paths)}".strip(), files=paths[:50]
        )
    return download(data.open_file(backend_of(request), file), path.rpartition("/")[2], file.size_bytes)


def _found(request: Request) -> DataRecord:
    return data.find(backend_of(request), request.path_params["data"], request.path_params["version"])


def _summary(backend: Backend, name: str) -> dict[str, object]:
    found = data.summary(backend, name)
    latest = {k: v for k, v in _shown(found.latest).items() if k != "files"}
    newest = found.latest
    return {
        "name": name,
        "digest": newest.digest,
        "description": newest.description,
        "tags": newest.tags,
        "versions": found.versions,
        "latest_version": newest.version,
        "latest": latest,
    }


def _shown(record: DataRecord) -> dict[str, object]:
    extra = {"id": record.id, "size_bytes": record.size_bytes, "file_count": len(record.files)}
    return {**to_builtins(record), **extra}
