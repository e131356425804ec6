"""How far a transfer is, said on standard error once it takes longer than a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import BinaryIO, TextIO

from fitq.units import format_bytes

_QUIET_SECONDS = 1.0
_TERMINAL_SECONDS = 0.2
_LINE_SECONDS = 10.0  # where nothing can be overwritten, a line now and then is enough


class Progress:
    """Counts the bytes of one transfer; silent when it is quick."""

    def __init__(self, label: str, total: int | None = None, stream: TextIO | None = None) -> None:
        self.label = label
        self.total = total
        self.sent = 0
        self._stream = stream or sys.stderr
        self._next_at = time.monotonic() + _QUIET_SECONDS
        self._spoke = False

    def add(self, count: int) -> None:
        """`count` more bytes have gone."""
        self.sent += count
        if time.monotonic() >= self._next_at:
            self._say()

    def _say(self) -> None:
        terminal = self._stream.isatty()
        total = f" of {format_bytes(self.total)}" if self.total else ""
        text = f"{self.label}: {format_bytes(self.sent)}{total}"
        self._stream.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
        self._stream.flush()
        self._spoke = terminal
        self._next_at = time.monotonic() + (_TERMINAL_SECONDS if terminal else _LINE_SECONDS)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spoke:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class WatchedFile:
    """An open file whose reads are counted; what the HTTP client needs of a file, and no more."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress.add(len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()
