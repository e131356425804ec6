"""The training functions of a folder, as a child process tells them: importing them runs user code.

The child has no credential, is confined as a run is (`importing.py`), and has the interpreter of the
environment that the functions run in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from fitq.errors import InvalidRequest
from fitq.logs import get_logger
from fitq.names import PATTERNS, check_name
from fitq.records import FunctionRecord
from fitq.worker.catalogue import MARK, broken, files_of
from fitq.worker.folder import Program
from fitq.worker.importing import Imported, Importer
from fitq.worker.runtime import OWN, Runtime

log = get_logger(__name__)
_CATALOGUE = Path(__file__).with_name("catalogue.py")
_SECONDS = 120
_SECONDS_OF_ONE = 60


def list_folder(
    folder: Path, importer: Importer, runtime: Runtime = OWN, *, cwd: Path | None = None
) -> list[FunctionRecord]:
    """All functions of a folder; a file that cannot be read is in it with its error.

    All files are imported by one child, because many import the same libraries. If one of them ends it, each
    gets a child of its own, so that only that one is missing.

    Args:
        cwd: where they are imported; by default in an empty folder.

    Raises:
        Unavailable: no child can be started now.
    """

    def told(files: list[str], seconds: float) -> list[dict[str, Any]] | str:
        words = [runtime.python, str(_CATALOGUE), str(folder.resolve()), *files]
        program = Program(command=words, runtime=runtime, modules=folder.resolve())
        return _told(folder, importer.run(program, cwd=cwd, seconds=seconds), seconds)

    found = told([], _SECONDS)
    if isinstance(found, list):
        return [_checked(record) for record in found]
    records = list[dict[str, Any]]()
    for file in files_of(str(folder)):
        of_one = told([file], _SECONDS_OF_ONE)
        records += of_one if isinstance(of_one, list) else [broken(file, of_one)]
    return [_checked(record) for record in records]


def _told(folder: Path, child: Imported, seconds: float) -> list[dict[str, Any]] | str:
    """What the child told of its files, or why it told nothing."""
    if child.exit_code is None:
        return f"importing it did not end within {seconds} s"
    lines = child.output.strip().splitlines()
    try:
        said = next(line for line in reversed(lines) if line.startswith(MARK.encode()))
        return msgspec.json.decode(said[len(MARK) :], type=list[dict[str, Any]])
    except (StopIteration, msgspec.DecodeError):
        if child.needed_memory:
            return "importing it used more memory than a worker has for that"
        last = lines[-1].decode("utf-8", "replace") if lines else ""
        log.warning("functions_not_listed", folder=str(folder), exit_code=child.exit_code, error=last)
        return f"importing it ended the process (exit code {child.exit_code}){last and ': '}{last[:500]}"


def _checked(told: dict[str, Any]) -> FunctionRecord:
    """A record as the child told it; with an error if nobody could call it."""
    try:
        record = msgspec.convert(told, type=FunctionRecord)
        if record.error:
            name = record.name if PATTERNS["function"][0].fullmatch(record.name) else "unnamed"
            return msgspec.structs.replace(record, name=name)
        check_name("function", record.name)
        check_name("pool", record.pool)
        for secret in record.secrets:
            check_name("secret", secret)
    except (msgspec.ValidationError, InvalidRequest) as exc:
        return _checked(broken(str(told.get("file", "")), str(exc)))
    return record
