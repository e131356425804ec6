"""The values of a run's secrets, kept out of whatever is kept of the run: `***` stands in their place.

Only exact values are found, and lines of values that have several. A script that prints a secret in
another form (in base64, letter by letter) gives it away, and so may its files, which are kept as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_INSTEAD = "***"
#: Shorter ones would be found in innocent words, and a log full of stars would tell them.
_SHORTEST = 4
#: Of a line of a value: `-----` or `{` is nobody's secret.
_SHORTEST_LINE = 8
_FEW_BYTES = 16


class Redaction:
    """What is not to be kept of one run's output."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        every = {found for value in values for found in _to_find(value)}
        self._texts = sorted(every, key=len, reverse=True)  # whole values before their lines
        self._bytes = [text.encode() for text in self._texts]
        self._held = b""

    def text(self, text: str) -> str:
        """A text without them."""
        return functools.reduce(lambda t, found: t.replace(found, _INSTEAD), self._texts, text)

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
        """A line of JSON without them; one that is not JSON comes back as it is, and nobody can read it."""
        if not self._texts:
            return line
        try:
            return msgspec.json.encode(self.plain(msgspec.json.decode(line)))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self._without(line)

    def feed(self, data: bytes) -> bytes:
        """Output without them, in pieces that are cut anywhere: what may be the beginning of one waits for
        the next piece."""
        if not self._bytes:
            return data
        clean = self._without(self._held + data)
        kept = len(clean) - self._begun(clean)
        self._held = clean[kept:]
        return clean[:kept]

    def rest(self) -> bytes:
        """What waited, at the end of all output."""
        held, self._held = self._held, b""
        return held

    def _without(self, data: bytes) -> bytes:
        return functools.reduce(lambda d, found: d.replace(found, _INSTEAD.encode()), self._bytes, data)

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of one."""
        return max(map(functools.partial(_overlap, data), self._bytes))


def _overlap(data: bytes, found: bytes) -> int:
    """The longest end of `data` that `found` begins with."""
    at = max(0, len(data) - len(found) + 1)
    while (at := data.find(found[:1], at)) >= 0:
        # First a few bytes, which copies nothing: a script could print what begins alike for long.
        few = min(_FEW_BYTES, len(data) - at)
        if data.startswith(found[:few], at) and found.startswith(data[at:]):
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
