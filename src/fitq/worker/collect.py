"""What a run left behind: found without following a link out of its folder, hashed while it is sent."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

import msgspec

from fitq.backend import Backend
from fitq.records import ArtifactRecord, MetricPoint, RunRecord
from fitq.store import patience
from fitq.store.patience import patiently
from fitq.worker.redaction import NONE, Redaction

T = TypeVar("T")
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


def open_regular(path: Path) -> int:
    """A descriptor of a regular file, no part of whose path is a link.

    What was a file when it was found may be a link or a fifo by now, and so may any folder above it: a run
    that goes on could have the worker read what the run itself may not.

    Raises:
        OSError: it is none.
    """
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *above, name = path.absolute().parts[1:]
    try:
        for part in above:
            below = os.open(part, _INTO_FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file")
    return file


_INTO_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Hashing:
    """A file that hashes what is read from it: the digest is of the bytes that were sent."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


class LineReader:
    """Reads new complete lines of a file that a run appends to; neither may be of any length."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 64_000_000,
        line_bytes: int = 4 << 20,
        redaction: Redaction = NONE,
    ) -> None:
        self._path, self._max, self._line, self._redaction = path, max_bytes, line_bytes, redaction
        self._offset = 0
        self._is_inside_long_line = False
        self.long_lines = 0  #: that were left out

    @property
    def is_full(self) -> bool:
        """Whether what comes now is not read any more."""
        return self._offset >= self._max

    @property
    def position(self) -> int:
        """Up to where it has read."""
        return self._offset

    def read(self) -> list[bytes]:
        if not self._path.is_file() or self.is_full:
            return []
        try:
            descriptor = open_regular(self._path)
        except OSError:
            return []  # a link, for one
        with os.fdopen(descriptor, "rb") as file:
            file.seek(self._offset)
            data = file.read(self._line)
        complete = data[: data.rfind(b"\n") + 1]
        if not complete and len(data) == self._line:
            self.long_lines += not self._is_inside_long_line
            self._is_inside_long_line = True
            self._offset += len(data)
            return self.read()
        self._offset += len(complete)
        lines = complete.split(b"\n")[:-1]
        if lines and self._is_inside_long_line:  # its end
            self._is_inside_long_line = False
            lines = lines[1:]
        return [self._redaction.line(line) for line in lines]


def parse_lines(lines: list[bytes], parse: Callable[[bytes], T]) -> tuple[list[T], int]:
    """Each line parsed; how many could not be is the second value."""
    parsed, bad = [], 0
    for line in lines:
        try:
            parsed.append(parse(line))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            bad += 1
    return parsed, bad


class Said:
    """The tags and properties that the lines of a properties.jsonl set. A tag's last value counts, a
    property's first: it never changes."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.untagged: set[str] = set()  #: tags that were taken away and not set again
        self.properties: dict[str, str] = {}

    def add(self, line: Any) -> None:
        """Take what one decoded line sets; what is no mapping of names sets nothing."""
        self.tags.update(_texts(line, "tag"))
        self.untagged -= self.tags.keys()
        for name in _names(line, "untag"):
            self.tags.pop(name, None)
            self.untagged.add(name)
        self.properties = {**_texts(line, "property"), **self.properties}

    def tagged(self, before: dict[str, str]) -> dict[str, str]:
        """The tags of a run that had these when it was submitted."""
        kept = {name: value for name, value in before.items() if name not in self.untagged}
        return {**kept, **self.tags}


def _texts(line: Any, kind: str) -> dict[str, str]:
    found = line.get(kind) if isinstance(line, dict) else None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _names(line: Any, kind: str) -> list[str]:
    found = line.get(kind) if isinstance(line, dict) else None
    return [str(name) for name in found] if isinstance(found, list) else []


def metric_of(line: bytes) -> MetricPoint:
    """A line of metrics.jsonl."""
    return msgspec.json.decode(line, type=MetricPoint)


__all__ = [
    "CAPTURED_FOLDER",
    "KEPT_FOLDERS",
    "Found",
    "LineReader",
    "disk_bytes",
    "find_files",
    "keep_file",
    "metric_of",
    "open_regular",
    "parse_lines",
]  # fmt: skip
