"""One run's log: bounded, line by line, the same bytes on disk and for those who follow.

Progress bars redraw one line with carriage returns. Only the last drawing of a line is kept, and while a
bar is going on one drawing every few seconds, so that it neither floods the log nor leaves it silent.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

from fitq.worker.redaction import Redaction

_REDRAW_SECONDS = 5.0
_LINE_BYTES = 1 << 20
_TAIL_BYTES = 256_000
_NOTE = "[fitq] "


class StdLog:
    """Takes the raw bytes of stdout and stderr, keeps lines."""

    def __init__(
        self, path: Path, *, max_bytes: int, before: bytes = b"", redaction: Redaction | None = None
    ) -> None:
        self._redaction = redaction or Redaction()
        self._file = path.open("wb", buffering=0)  # what the disk has no room for is known at once
        self._max = max_bytes
        self._partial = b""
        self._redrawn_at = time.monotonic()
        self._dropped = 0
        self._dropped_tail = b""  #: the end of what did not fit: the reason of a failure stands there
        self._start = 0  #: where this attempt's own lines begin
        self.path = path
        self.size = 0
        self.sent = 0  #: so much of it was shown to readers
        self._keep(before)
        self._start = self.size

    def note(self, text: str) -> None:
        """A line of the platform's own, marked as such."""
        self.feed(f"{_NOTE}{text}\n".encode())

    def feed(self, data: bytes) -> None:
        """Raw output, in pieces of any size."""
        *lines, self._partial = (self._partial + self._redaction.feed(data)).split(b"\n")
        self._keep(b"".join(_last_drawing(line) + b"\n" for line in lines))
        if lines:
            self._redrawn_at = time.monotonic()
        self._keep_going_line()

    def _keep_going_line(self) -> None:
        if len(self._partial) > _LINE_BYTES and b"\r" not in self._partial:
            self._keep(self._partial)  # one endless line: keep it in pieces
            self._partial = b""
        elif b"\r" in self._partial:
            self._redraw()

    def _redraw(self) -> None:
        """While a bar is drawn, forget all drawings but the last; show one now and then."""
        complete, _, rest = self._partial.rpartition(b"\r")
        drawing = complete.rpartition(b"\r")[2]
        if time.monotonic() - self._redrawn_at >= _REDRAW_SECONDS:
            self._keep((rest or drawing) + b"\n")
            self._redrawn_at = time.monotonic()
        self._partial = (drawing + b"\r" + rest)[-_LINE_BYTES:]

    def _keep(self, data: bytes) -> None:
        kept = self._write(data[: max(0, self._max - self.size)])
        if len(data) > kept:
            self._dropped += len(data) - kept
            self._dropped_tail = (self._dropped_tail + data[kept:])[-_TAIL_BYTES:]
        self.size += kept

    def _write(self, data: bytes) -> int:
        """How many bytes found room. A full disk is for the run to fail of, not for its log."""
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        return written

    def close(self) -> int:
        """Keep what is left and close; returns how many bytes did not fit. Twice is fine."""
        if self._file.closed:
            return self._dropped
        self._partial += self._redaction.rest()
        if self._partial:
            self._keep(_last_drawing(self._partial) + b"\n")
            self._partial = b""
        if self._dropped:
            note = f"{_NOTE}{self._dropped} more bytes of output were not kept (limit {self._max}).\n"
            self.size += self._write(note.encode())
        self._file.close()
        return self._dropped

    def read(self, offset: int, limit: int = 1 << 18) -> bytes:
        """Bytes already kept, for whoever forwards them."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(min(limit, self.size - offset))

    def send(self, append: Callable[[bytes, int], int]) -> None:
        """Show readers what they have not seen yet: `append` takes bytes and their offset, and says where to
        go on. If that is not after them, nothing more is sent now."""
        while self.sent < self.size:
            piece, begun = self.read(self.sent), self.sent
            self.sent = append(piece, begun)
            if self.sent != begun + len(piece):
                break

    def tail(self) -> list[str]:
        """The last lines of this attempt as text, also those that were not kept; none of our own notes."""
        start = max(self._start, self.size - _TAIL_BYTES)
        data = (self.read(start, _TAIL_BYTES) + self._dropped_tail)[-_TAIL_BYTES:]
        lines = data.decode("utf-8", "replace").split("\n")
        return [line for line in lines if not line.startswith(_NOTE)]


def _last_drawing(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]
