"""The values of a run's secrets, kept out of whatever is kept of the run: `***` stands in their place.

Only exact values are found, and lines of values that have several. A script that prints a secret in
another form (in base64, letter by letter) gives it away, and so may its files, which are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_INSTEAD = b"***"
#: Shorter ones would be found in innocent words, and a log full of stars would tell them.
_SHORTEST = 4
#: Of a line of a value: `-----` or `{` is nobody's secret.
_SHORTEST_LINE = 8
_FEW_BYTES = 16
_NONE = (1 << 62, b"")  #: after the end of anything


class Redaction:
    """What is not to be kept of one run's output."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        every = {found.encode() for value in values for found in _to_find(value)}
        self._secrets = sorted(every, key=len, reverse=True)  # of two that begin alike the longer one counts
        self._held = b""

    def text(self, text: str) -> str:
        """A text without them."""
        clean, _ = self._split(text.encode("utf-8", "surrogatepass"), is_whole=True)
        return clean.decode("utf-8", "surrogatepass")

    def plain(self, value: Any) -> Any:
        """A decoded JSON value without them, names of objects included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.plain(one) for one in value]
        if isinstance(value, dict):
            return {self.text(name): self.plain(one) for name, one in value.items()}
        return value

    def line(self, line: bytes) -> bytes:
        """A line of JSON without them; one that is not JSON stays one that nobody can read."""
        if not self._secrets:
            return line
        try:
            return msgspec.json.encode(self.plain(msgspec.json.decode(line)))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self._split(line, is_whole=True)[0]

    def feed(self, data: bytes) -> bytes:
        """Output without them, in pieces that are cut anywhere: what may be the beginning of one waits for
        the next piece."""
        if not self._secrets:
            return data
        clean, self._held = self._split(self._held + data, is_whole=False)
        return clean

    def rest(self) -> bytes:
        """What waited, at the end of all output."""
        clean, self._held = self._split(self._held, is_whole=True)
        return clean

    def _split(self, data: bytes, *, is_whole: bool) -> tuple[bytes, bytes]:
        """What is clean, and what has to wait for more unless this is the whole."""
        clean, at, end = list[bytes](), 0, self._end(data, 0, is_whole)
        starts = {secret: data.find(secret) for secret in self._secrets}
        while True:
            starts = {
                s: data.find(s, at) if start < at else start for s, start in starts.items() if start >= 0
            }
            start, secret = min(
                ((start, s) for s, start in starts.items() if start >= 0), key=_first, default=_NONE
            )
            if start >= end:
                return b"".join([*clean, data[at:end]]), data[end:]
            clean += [data[at:start], _INSTEAD]
            at = start + len(secret)
            if at > end:
                end = self._end(data, at, is_whole)

    def _end(self, data: bytes, at: int, is_whole: bool) -> int:
        """Where, from `at` on, the first one may begin whose end has not come yet."""
        waiting = 0 if is_whole else max((_overlap(data, at, s) for s in self._secrets), default=0)
        return len(data) - waiting


def _first(found: tuple[int, bytes]) -> tuple[int, int]:
    start, secret = found
    return start, -len(secret)


def _overlap(data: bytes, at: int, secret: bytes) -> int:
    """The longest end of `data` from `at` on that a secret begins with, and goes on after."""
    at = max(at, len(data) - len(secret) + 1)
    while (at := data.find(secret[:1], at)) >= 0:
        # First a few bytes, which copies nothing: a script could print what begins alike for long.
        few = min(_FEW_BYTES, len(data) - at)
        if data.startswith(secret[:few], at) and secret.startswith(data[at:]):
            return len(data) - at
        at += 1
    return 0


def _to_find(value: str) -> Iterable[str]:
    """What is looked for: the value, and those of its lines that could be nothing else."""
    lines = value.splitlines()
    if len(value) >= _SHORTEST:
        yield value
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_LINE)


def too_short(secrets: Mapping[str, str]) -> list[str]:
    """A warning for each that would not be found."""
    return [
        f"Secret {name} has fewer than {_SHORTEST} characters: what the run prints is not searched for it."
        for name, value in secrets.items()
        if len(value) < _SHORTEST
    ]


NONE = Redaction()
