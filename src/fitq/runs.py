"""Rules of runs: how they are found, read, canceled and, after a loss, restored.

How a run comes to be is in `submission.py`; what happens once a worker has it, in `claims.py`,
`attempts.py` and `final_records.py`.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from fitq import child_runs, final_records
from fitq.backend import Backend
from fitq.errors import Conflict, InvalidRequest, NotFound, Unavailable
from fitq.final_records import LOG_PATH
from fitq.names import check_name, did_you_mean
from fitq.records import (
    ArtifactRecord,
    FinalRecord,
    MetricPoint,
    RunRecord,
    RunStatus,
    from_kept_json,
)

_AT_ONCE = 200


class RunPage(NamedTuple):
    """Some runs, and where the next ones begin."""

    runs: list[RunRecord]
    next_cursor: str | None


class LogPiece(NamedTuple):
    """Some bytes of a log."""

    data: bytes
    next_offset: int
    complete: bool  #: the run is final and nothing follows


class ExperimentSummary(NamedTuple):
    """An experiment and how many runs it has."""

    name: str
    runs: int
    newest: RunRecord | None


def find(backend: Backend, run_id: str) -> RunRecord:
    """A run by its id.

    Raises:
        NotFound: with near matches among the newest runs.
    """
    run = backend.state.get_run(check_name("run", run_id)) or kept(backend, run_id)
    if run is None:
        newest = [r.id for r in backend.state.list_runs(limit=200)]
        raise NotFound(
            f"There is no run {run_id!r}. {did_you_mean(run_id, newest)}".strip(),
            hint="List them with: fitq runs list",
        )
    return run


def kept(backend: Backend, run_id: str) -> RunRecord | None:
    """A run that Redis does not know as the object store has it: how it ended, or how it was accepted.

    There are such after Redis lost its data, until they are listed again, and child runs always are.
    """
    if final := backend.objects.get(backend.keys.final(run_id)):
        return from_kept_json(final, FinalRecord).run
    if accepted := backend.objects.get(backend.keys.open_run(run_id)):
        return from_kept_json(accepted, RunRecord)
    return child_runs.find(backend, run_id)


def page(
    backend: Backend,
    *,
    experiment: str | None = None,
    status: RunStatus | None = None,
    tags: dict[str, str] | None = None,
    newest_first: bool = True,
    limit: int = 50,
    cursor: str | None = None,
) -> RunPage:
    """Runs by creation time, at most `limit`, from where `cursor` of the page before says."""
    look = functools.partial(
        backend.state.list_runs, experiment=experiment, status=status, newest_first=newest_first
    )
    offset, wanted = _offset_of(cursor), list[RunRecord]()
    # Tags are in no index: where few runs fit, many are looked at for one page.
    at_once = max(limit, _AT_ONCE) if tags else limit
    while len(wanted) < limit:
        found = look(offset=offset, limit=at_once)
        for run in found:
            offset += 1
            if all(run.tags.get(k) == v for k, v in (tags or {}).items()):
                wanted.append(run)
            if len(wanted) == limit:
                break
        if len(found) < at_once:
            break
    more = bool(look(offset=offset, limit=1))
    return RunPage(wanted, _cursor_at(offset) if more else None)


def _cursor_at(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _offset_of(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        digits = base64.urlsafe_b64decode(cursor)
    except ValueError:
        digits = b""
    if not re.fullmatch(rb"[0-9]{1,15}", digits):
        raise InvalidRequest(
            "This cursor is not one of ours.", at="cursor", hint="Use next_cursor of the page before."
        )
    return int(digits)


def experiments(backend: Backend) -> list[ExperimentSummary]:
    """Every experiment, the one with the newest run first."""
    return [
        ExperimentSummary(
            name,
            backend.state.count_runs(experiment=name),
            next(iter(backend.state.list_runs(experiment=name, limit=1)), None),
        )
        for name in backend.state.list_experiments()
    ]


def read_log(backend: Backend, run_id: str, offset: int = 0, limit: int = 1 << 20) -> LogPiece:
    """Some bytes of a run's log: from Redis while it runs, from the object store afterwards."""
    run = find(backend, run_id)
    if not run.status.is_final:
        data = backend.state.read_log(run_id, offset, limit)
        return LogPiece(data, offset + len(data), complete=False)
    key = _artifact_key(backend, run, LOG_PATH)
    data = backend.objects.get_range(key, offset, limit) or b""
    return LogPiece(data, offset + len(data), complete=len(data) < limit)


def metrics(backend: Backend, run: RunRecord) -> dict[str, list[MetricPoint]]:
    """What the run logged so far, by name, each in the order it was logged."""
    points = _final(backend, run).metrics if run.status.is_final else backend.state.read_metrics(run.id)
    series: dict[str, list[MetricPoint]] = {}
    for point in points:
        series.setdefault(point.name, []).append(point)
    return series


def artifacts(backend: Backend, run: RunRecord) -> list[ArtifactRecord]:
    """The files a run left; while it runs, what was uploaded so far."""
    if run.status.is_final:
        return _final(backend, run).artifacts
    prefix = backend.keys.attempt_file(run, "")
    found = backend.objects.list(prefix)
    return [ArtifactRecord(path=o.key[len(prefix) :], size_bytes=o.size_bytes) for o in found]


def open_artifact(backend: Backend, run: RunRecord, path: str) -> tuple[ArtifactRecord, Iterator[bytes]]:
    """One file of a run, in pieces.

    Raises:
        NotFound: it is not there; `files` lists what is.
    """
    files = artifacts(backend, run)
    found = next((a for a in files if a.path == path), None)
    key = _artifact_key(backend, run, path)
    pieces = None if found is None else backend.objects.open(key)
    if found is None or pieces is None:
        paths = [a.path for a in files]
        raise NotFound(
            f"Run {run.id!r} has no file {path!r}. {did_you_mean(path, paths)}".strip(),
            hint=f"It has: {', '.join(paths[:20]) or 'no files'}.",
            files=paths,
        )
    return found, pieces


def _artifact_key(backend: Backend, run: RunRecord, path: str) -> str:
    if run.parent:
        path = f"{child_runs.folder_of(child_runs.number_of(run))}/{path}"
    return backend.keys.attempt_file(run, path)


def _final(backend: Backend, run: RunRecord) -> FinalRecord:
    data = backend.objects.get(backend.keys.final(run.parent or run.id))
    final = FinalRecord(run=run) if data is None else from_kept_json(data, FinalRecord)
    return child_runs.final_of(final, run) if run.parent else final


def cancel(backend: Backend, run_id: str) -> RunRecord:
    """Stop a run: at once while it is queued, within seconds while a worker has it. Idempotent.

    Raises:
        Conflict: it already ended in another way.
        Unavailable: Redis lost it, and perhaps a worker has it.
    """
    run = find(backend, run_id)
    if run.status is RunStatus.CANCELED:
        return run
    if run.status.is_final:
        raise Conflict(f"Run {run_id!r} is already {run.status}.", hint="There is nothing to cancel.")
    if backend.state.get_run(run_id) is None:
        raise Unavailable("Redis is being filled again after it lost its data.")
    if run.status is RunStatus.QUEUED:
        final_records.cancel_queued(backend, run)
    elif run.cancel_requested:
        return run
    else:
        asked = msgspec.structs.replace(run, cancel_requested=True, sequence=run.sequence + 1)
        if backend.state.replace_run(asked):
            return asked
    return cancel(backend, run_id)  # it is over, or somebody changed it in between: look again
