"""The child runs that a script made: read from the folder it left, and kept with its own files.

<run folder>/children/<number>/
    child.jsonl        {"display_name", "at"}, then once {"status", "at", "message"} if the script ended it
    metrics.jsonl, properties.jsonl, outputs/    as a run's own
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from fitq import child_runs
from fitq.backend import Backend
from fitq.records import ChildRun, Failure, RunRecord, RunStatus, now
from fitq.worker import collect
from fitq.worker.lines import LineReader, Said, metric_of, parse_lines
from fitq.worker.redaction import NONE, Redaction

_MOST = 1000  #: of one run; a final record holds them all
_ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED)


class Children(NamedTuple):
    """What a run's script made of itself."""

    runs: list[ChildRun]
    warnings: list[str]


class _Line(msgspec.Struct):
    """One line of child.jsonl."""

    at: datetime
    display_name: str = ""
    status: RunStatus | None = None
    message: str = ""


def keep_children(
    backend: Backend,
    run: RunRecord,
    folder: Path,
    ended: RunStatus,
    *,
    max_bytes: int,
    redaction: Redaction = NONE,
) -> Children:
    """Keep the files of every child of a run, and tell what it was.

    Args:
        folder: of the run's attempt.
        ended: how the run ends; a child that the script did not end, ends the same way.
        max_bytes: most that the files of all children have together.
        redaction: of what their lines say.
    """
    made = sorted(_numbers(folder / child_runs.FOLDER))
    numbers = made[:_MOST]
    warnings = [f"{len(made)} child runs were made; {_MOST} are kept."] if len(made) > _MOST else []
    kept_folders = tuple(
        f"{child_runs.folder_of(n)}/{kept}" for n in numbers for kept in collect.KEPT_FOLDERS
    )
    found = collect.find_files(folder, kept_folders, max_bytes=max_bytes)
    children = [_keep(backend, run, n, folder, ended, found.files, redaction) for n in numbers]
    return Children(children, [*warnings, *found.skipped])


def _numbers(folder: Path) -> Iterator[int]:
    if folder.is_dir() and not folder.is_symlink():
        for place in folder.iterdir():
            if place.name.isdecimal() and len(place.name) <= 4 and place.is_dir() and not place.is_symlink():
                yield int(place.name)


def _keep(
    backend: Backend,
    run: RunRecord,
    number: int,
    root: Path,
    ended: RunStatus,
    files: list[tuple[str, Path]],
    redaction: Redaction,
) -> ChildRun:
    """`files` are those of all children, by their path in the run's folder."""
    prefix = f"{child_runs.folder_of(number)}/"
    folder = root / prefix
    lines, _ = parse_lines(_read(folder / "child.jsonl", redaction), _line)
    metrics, _ = parse_lines(_read(folder / "metrics.jsonl", redaction), metric_of)
    changes, _ = parse_lines(_read(folder / "properties.jsonl", redaction), msgspec.json.decode)
    said = Said()
    for change in changes:
        said.add(change)
    last = next((line for line in lines if line.status in _ENDED), None)
    status = ended if last is None or last.status is None else last.status
    kept = [collect.keep_file(backend, run, name, path) for name, path in files if name.startswith(prefix)]
    return ChildRun(
        number=number,
        display_name=next((line.display_name for line in lines if line.display_name), ""),
        created_at=lines[0].at if lines else run.created_at,
        ended_at=last.at if last else now(),
        status=status,
        failure=None if status is not RunStatus.FAILED else _failure(last),
        tags=said.tags,
        properties=said.properties,
        metrics=metrics,
        artifacts=[msgspec.structs.replace(a, path=a.path.removeprefix(prefix)) for a in kept],
    )


def _read(file: Path, redaction: Redaction) -> list[bytes]:
    lines = list[bytes]()
    reader = LineReader(file, redaction=redaction)
    while piece := reader.read():
        lines += piece
    return lines


def _line(data: bytes) -> _Line:
    return msgspec.json.decode(data, type=_Line)


def _failure(last: _Line | None) -> Failure:
    message = last.message if last else ""
    return Failure(kind="user_error", message=message[:500] or "It failed with the run that made it.")
