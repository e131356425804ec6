"""Rules of entry scripts: a user's own code that answers with a model, kept as a snapshot beside it."""

from __future__ import annotations

from fitq.backend import Backend
from fitq.errors import InvalidRequest, Unavailable
from fitq.names import did_you_mean
from fitq.records import EntryRequest, RunRecord
from fitq.submission import files_of_snapshot


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


def code_of(backend: Backend, snapshot: str) -> bytes:
    """The packed folder.

    Raises:
        Unavailable: it is not there.
    """
    data = backend.objects.get(backend.keys.snapshot(snapshot))
    if data is None:
        raise Unavailable(f"The snapshot {snapshot} is not in the object store.")
    return data
