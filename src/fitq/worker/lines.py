"""What a run says of itself, line by line: its metrics, tags and properties, read while it writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fitq.records import MetricPoint
from fitq.worker.redaction import NONE, Redaction
from fitq.worker.regular import open_regular

T = TypeVar("T")


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


def metric_of(line: bytes) -> MetricPoint:
    """A line of metrics.jsonl."""
    return msgspec.json.decode(line, type=MetricPoint)


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
