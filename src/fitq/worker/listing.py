"""The training functions of a folder, as a child process tells them: importing them runs user code.

The child has no credential, and the interpreter of the environment that the functions run in.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec

from fitq.errors import InvalidRequest
from fitq.logs import get_logger
from fitq.names import PATTERNS, check_name
from fitq.records import FunctionRecord
from fitq.worker.catalogue import files_of
from fitq.worker.runtime import OWN, Runtime

log = get_logger(__name__)
_CATALOGUE = Path(__file__).with_name("catalogue.py")
_SECONDS = 120
_SECONDS_OF_ONE = 60


def list_folder(folder: Path, runtime: Runtime = OWN) -> list[FunctionRecord]:
    """All functions of a folder; a file that cannot be read is in it with its error.

    All files are imported by one child, because many import the same libraries. If one of them ends it, each
    gets a child of its own, so that only that one is missing.
    """
    found = _told(folder, [], runtime, _SECONDS)
    if isinstance(found, list):
        return [_checked(record) for record in found]
    records = list[dict[str, Any]]()
    for file in files_of(str(folder)):
        told = _told(folder, [file], runtime, _SECONDS_OF_ONE)
        records += told if isinstance(told, list) else [_broken(file, told)]
    return [_checked(record) for record in records]


def _told(folder: Path, files: list[str], runtime: Runtime, seconds: float) -> list[dict[str, Any]] | str:
    """What the child tells of these files, or why it tells nothing."""
    try:
        done = subprocess.run(
            [runtime.python, str(_CATALOGUE), str(folder.resolve()), *files],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            env=runtime.variables(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"importing it did not end within {seconds} s"
    try:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=list[dict[str, Any]])
    except (IndexError, msgspec.DecodeError):
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        log.warning("functions_not_listed", folder=str(folder), exit_code=done.returncode, error=last)
        return f"importing it ended the process (exit code {done.returncode}){last and ': '}{last[:500]}"


def _broken(file: str, error: str) -> dict[str, Any]:
    return {"name": Path(file).stem, "pool": "*", "file": file, "error": error}


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
        return _checked(_broken(str(told.get("file", "")), str(exc)))
    return record
