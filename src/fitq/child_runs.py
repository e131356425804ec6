"""Rules of child runs: parts of a run, made inside its script, with metrics, tags and files of their own.

They end with the run that made them, in its one final record, so that all of them are there or none is. A
child's id is its parent's and a number, `train-iris-k3f9x2ma-2`; its files lie under the parent's attempt, in
`children/2/`.
"""

from __future__ import annotations

import re

import msgspec

from fitq.backend import Backend
from fitq.records import ChildRun, FinalRecord, RunRecord, RunStatus, TimelineEntry, Usage, from_kept_json

FOLDER = "children"
#: The random end of a run's own id is longer than any number here.
_CHILD = re.compile(r"(?P<parent>.+)-(?P<number>[0-9]{1,4})")


def child_id(parent: str, number: int) -> str:
    """The id of a run's n-th child."""
    return f"{parent}-{number}"


def find(backend: Backend, run_id: str) -> RunRecord | None:
    """A child run by its id; None if that is not the id of one, or its parent has not ended."""
    match = _CHILD.fullmatch(run_id)
    final = _final_of(backend, match["parent"]) if match else None
    return next((c for c in (_records(final) if final else []) if c.id == run_id), None)


def of(backend: Backend, parent: RunRecord) -> list[RunRecord]:
    """The children of a run, in the order they were made; none before it has ended."""
    final = _final_of(backend, parent.id) if parent.status.is_final and not parent.parent else None
    return _records(final) if final else []


def final_of(parent: FinalRecord, child: RunRecord) -> FinalRecord:
    """A child's part of its parent's final record."""
    part = next(c for c in parent.children if child_id(parent.run.id, c.number) == child.id)
    return FinalRecord(run=child, artifacts=part.artifacts, metrics=part.metrics)


def folder_of(number: int) -> str:
    """Where the files of a run's n-th child lie, in the run's folder as among its kept files."""
    return f"{FOLDER}/{number}"


def number_of(child: RunRecord) -> int:
    """Which child of its parent it is."""
    return int(child.id.rpartition("-")[2])


def _final_of(backend: Backend, run_id: str) -> FinalRecord | None:
    data = backend.objects.get(backend.keys.final(run_id))
    return None if data is None else from_kept_json(data, FinalRecord)


def _records(final: FinalRecord) -> list[RunRecord]:
    return [_record(final.run, child) for child in final.children]


def _record(parent: RunRecord, child: ChildRun) -> RunRecord:
    began = TimelineEntry(status=RunStatus.RUNNING, at=child.created_at, attempt=parent.attempt)
    ended = TimelineEntry(status=child.status, at=child.ended_at, attempt=parent.attempt)
    return msgspec.structs.replace(
        parent,
        id=child_id(parent.id, child.number),
        parent=parent.id,
        display_name=child.display_name,
        status=child.status,
        created_at=child.created_at,
        timeline=[began, ended],
        tags=child.tags,
        properties=child.properties,
        usage=Usage(run_seconds=round((child.ended_at - child.created_at).total_seconds(), 3)),
        failure=child.failure,
        register=[],
        warnings=[],
    )
