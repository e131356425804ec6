"""What a run left behind: found without following a link out of its folder, hashed while it is sent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from fitq.backend import Backend
from fitq.records import ArtifactRecord, RunRecord
from fitq.store import patience
from fitq.store.patience import patiently
from fitq.worker.regular import open_regular

KEPT_FOLDERS = ("outputs", "logs")
CAPTURED_FOLDER = "captured"  #: beside `code`: what shims/fitq_capture.py leaves there
_MAX_FILES = 10_000


class Found(NamedTuple):
    """What may be kept, and what may not and why."""

    files: list[tuple[str, Path]]  #: (artifact path, file)
    skipped: list[str]  #: sentences for the run's warnings


def find_files(code: Path, folders: tuple[str, ...] = KEPT_FOLDERS, *, max_bytes: int | None = None) -> Found:
    """Regular files below these folders of it, in order.

    Args:
        max_bytes: of all together, counted by their length, which holes of a file are part of.
    """
    files: list[tuple[str, Path]] = []
    skipped: list[str] = []
    room = max_bytes
    for folder in folders:
        if (code / folder).is_symlink():
            skipped.append(f"{folder} is a link and was not followed")
            continue
        for path in _walk(code / folder):
            name = path.relative_to(code).as_posix()
            if problem := _problem(path, name):
                skipped.append(f"{name!a} {problem}")
            elif len(files) >= _MAX_FILES:
                return Found(files, [*skipped, f"only the first {_MAX_FILES} files were kept"])
            elif room is not None and (size := path.lstat().st_size) > room:
                skipped.append(f"{name!a} has {size} bytes; there was room for {room} (FITQ_OUTPUT_BYTES)")
            else:
                files.append((name, path))
                room = None if room is None else room - path.lstat().st_size
    return Found(files, skipped)


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for link in [f for f in folders if Path(place, f).is_symlink()]:
            yield Path(place, link)
        yield from (Path(place, name) for name in sorted(names))


def _problem(path: Path, name: str) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "is a link and was not followed"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    if not name.isprintable() or "\\" in name or len(name) > 1000:
        return "has a name that cannot be kept"
    return ""


def disk_bytes(folder: Path) -> int:
    """What a folder takes on its disk; holes take nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it is gone already
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118  many files
    return total


def keep_file(
    backend: Backend, run: RunRecord, name: str, path: Path, *, patience_seconds: float | None = None
) -> ArtifactRecord:
    """Send one file under the attempt's own prefix, waiting while the store is away.

    Args:
        patience_seconds: for how long; as long as a run waits if None.
    """
    seconds = patience.RUN_SECONDS if patience_seconds is None else patience_seconds
    key = backend.keys.attempt_file(run, name)
    fd = open_regular(path)
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size

        def send() -> str:
            file.seek(0)
            hashing = _Hashing(cast(BinaryIO, file))
            backend.objects.put(key, cast(BinaryIO, hashing), size)
            return hashing.digest.hexdigest()

        sha256 = patiently(send, what=f"keep {name}", seconds=seconds)
    return ArtifactRecord(path=name, size_bytes=size, sha256=sha256)


class _Hashing:
    """A file that hashes what is read from it: the digest is of the bytes that were sent."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data
