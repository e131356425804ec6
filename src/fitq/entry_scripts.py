"""Rules of entry scripts: a user's own code that answers with a model, kept as a snapshot beside it."""

from __future__ import annotations

from pathlib import PurePosixPath

from fitq.backend import Backend
from fitq.errors import InvalidRequest, Unavailable
from fitq.kept_snapshots import files_of_snapshot
from fitq.names import did_you_mean
from fitq.records import EntryModel, EntryRequest, ModelRecord, RunRecord
from fitq.store.checked import get_checked


def snapshot_of(backend: Backend, request: EntryRequest, run: RunRecord | None) -> str:
    """The snapshot that has the script: the one that is named, else the code of the run.

    Raises:
        InvalidRequest: there is none, or it has no such script.
        NotFound: it was never sent.
    """
    snapshot = request.snapshot or (run.snapshot if run is not None else None)
    if snapshot is None:
        raise InvalidRequest(
            "An entry script comes from a snapshot, and there is none to look in.",
            at="entry.snapshot",
            hint="POST /v1/snapshots first; with the commands: --source-directory FOLDER.",
        )
    files = files_of_snapshot(backend, snapshot, at="entry.snapshot")
    if request.script not in files:
        where = "The snapshot" if request.snapshot else f"The code of run {run.id if run else ''}"
        raise InvalidRequest(
            f"{where} has no file {request.script!r}. {did_you_mean(request.script, files)}".strip(),
            hint="For a script that is on this machine give its folder: --source-directory FOLDER.",
            at="entry.script",
            files=files[:50],
        )
    if not request.script.endswith(".py"):
        raise InvalidRequest(f"{request.script!r} is no Python file.", at="entry.script")
    return snapshot


def models_of(backend: Backend, request: EntryRequest, own: ModelRecord | None) -> list[ModelRecord]:
    """The models that a script reads besides its own.

    Args:
        own: the registered model whose file is its own; None: that file is not registered yet.

    Raises:
        InvalidRequest: its own has no name and version yet, or one is named twice.
        NotFound: there is no such model.
    """
    if request.models and own is None:
        raise InvalidRequest(
            "A script finds several models by name and version, so each of them is registered before.",
            at="entry.models",
            hint='Send {"model": "a:1", "entry": {"script": …, "models": ["b:1"]}}.',
        )
    found = [backend.catalog.named(asked) for asked in request.models]
    ids = [model.id for model in [*([own] if own else []), *found]]
    if len(set(ids)) < len(ids):
        raise InvalidRequest(f"A model is named twice: {', '.join(ids)}.", at="entry.models")
    return found


def copied(backend: Backend, model: ModelRecord, to: str) -> EntryModel:
    """A model as a script of the model `to` reads it: from a copy, which outlives the one it was made of."""
    return EntryModel(
        name=model.name,
        version=model.version,
        file=PurePosixPath(model.path).name,
        sha256=model.sha256,
        object_key=backend.keys.model_file(to, model.sha256),
    )


def code_of(backend: Backend, snapshot: str) -> bytes:
    """The packed folder.

    Raises:
        Unavailable: it is not there, or did not arrive as it was kept.
    """
    data = get_checked(backend.objects, backend.keys.snapshot(snapshot), snapshot)
    if data is None:
        raise Unavailable(f"The snapshot {snapshot} is not in the object store.")
    return data
