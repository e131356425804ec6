"""Rules of where the bytes of a model come from: a run's file, that of a registered version, or an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from fitq import runs
from fitq.backend import Backend
from fitq.captured import CAPTURED_MODEL
from fitq.errors import Conflict, InvalidRequest, NotFound
from fitq.made import MODEL_SUFFIXES
from fitq.names import did_you_mean
from fitq.records import ArtifactRecord, ModelRecord, RegisterRequest, Registration, RunRecord
from fitq.store.checked import checked, open_checked

_USUAL_MODEL = "outputs/model.joblib"


class Source(NamedTuple):
    """The bytes to register, on our disk, and where they came from."""

    file: Path
    path: str
    sha256: str
    run: RunRecord | None
    model: ModelRecord | None = None  #: whose file it is, registered before


def from_run(backend: Backend, request: RegisterRequest, folder: Path) -> Source:
    """The file of a run that has ended."""
    run = runs.find(backend, request.run or "")
    if not run.status.is_final:
        raise Conflict(
            f"Run {run.id!r} is {run.status}; its files are complete when it has ended.",
            hint=f"Wait for it: fitq runs logs {run.id} --follow",
        )
    path = meant_file(run.id, [a.path for a in runs.artifacts(backend, run)], request)
    artifact, pieces = opened(backend, run, path)
    file = _write(pieces, folder / Path(path).name)
    return Source(file, path, artifact.sha256, run)


def from_model(backend: Backend, request: RegisterRequest, folder: Path) -> tuple[Source, RegisterRequest]:
    """The file of a registered version, and the request with what is known of that version."""
    model = backend.catalog.named(request.model or "")
    file = fetched_file(backend, model, folder / "model")
    run = runs.find(backend, model.run) if model.run is not None else None
    known = {"framework": model.framework, "framework_version": model.framework_version}
    if request.environment is None and model.environment:
        known["environment"] = model.environment
    properties = {"model": model.id, **request.properties}
    request = msgspec.structs.replace(request, properties=properties, **known)
    return Source(file, model.path, model.sha256, run, model), request


def fetched_file(backend: Backend, model: ModelRecord, file: Path) -> Path:
    """The file of a registered model."""
    pieces = open_checked(backend.objects, model.object_key, model.sha256)
    if pieces is None:
        raise NotFound(f"The bytes of model {model.id} are not in the object store any more.", at="model")
    return _write(pieces, file)


def meant_file(run_id: str, files: list[str], request: Registration) -> str:
    """The file of a run that is to become the model: the one of that path, or the only model file below a
    folder of that path. Without a path it is one named as the model, `outputs/model.joblib`, the only
    model file in `outputs`, or else the one that was captured.

    Raises:
        NotFound, InvalidRequest: `files` lists what there is.
    """
    usual = (name for name in (request.name, _USUAL_MODEL) if name in files)
    asked = request.path or next(usual, "outputs")
    if asked in files:
        return asked
    below = [f for f in files if f.startswith(asked.rstrip("/") + "/") and f.endswith(MODEL_SUFFIXES)]
    if len(below) == 1:
        return below[0]
    if not below and not request.path and CAPTURED_MODEL in files:
        return CAPTURED_MODEL
    if below:
        raise InvalidRequest(
            f"{asked!r} holds several model files.", at="path", hint="Name one of them.", files=below
        )
    what = "file" if request.path else "model file in"
    raise NotFound(
        f"Run {run_id!r} has no {what} {asked!r}. {did_you_mean(asked, files)}".strip(),
        hint=f"It has: {', '.join(files[:20]) or 'no files'}.",
        at="path",
        files=files,
    )


def opened(backend: Backend, run: RunRecord, path: str) -> tuple[ArtifactRecord, Iterator[bytes]]:
    """A file of a run that has ended, as it was kept."""
    artifact, pieces = runs.open_artifact(backend, run, path)
    return artifact, checked(pieces, f"{path} of run {run.id}", artifact.sha256)


def _write(pieces: Iterator[bytes], file: Path) -> Path:
    with file.open("xb") as out:
        out.writelines(pieces)
    return file


def sha256_of(file: Path) -> str:
    """The hash of its bytes, in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
