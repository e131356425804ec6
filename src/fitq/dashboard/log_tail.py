"""The last part of a run's log, without reading the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fitq import runs
from fitq.attempts import LOG_PATH
from fitq.backend import Backend
from fitq.dashboard.logtext import log_text, tail
from fitq.records import RunRecord

_BYTES, _CHARACTERS = 64_000, 10_000


class LogTail(NamedTuple):
    """What a page shows, and from where live lines go on."""

    text: str
    offset: int  #: bytes of the log up to the end of `text`
    is_cut: bool


def log_tail(backend: Backend, run: RunRecord) -> LogTail:
    """At most about 10,000 characters of whole lines, counted as they are escaped on a page."""
    size = _final_size(backend, run) if run.status.is_final else _live_size(backend, run.id)
    start = max(0, size - _BYTES)
    data = runs.read_log(backend, run.id, start, _BYTES).data
    text, is_cut = tail(log_text(data), _CHARACTERS)
    return LogTail(text, start + len(data), is_cut or start > 0)


def _final_size(backend: Backend, run: RunRecord) -> int:
    key = backend.keys.attempt_file(run.id, run.attempt, LOG_PATH)
    return backend.objects.size(key) or 0


def _live_size(backend: Backend, run_id: str) -> int:
    return size_by_probing(lambda offset: bool(backend.state.read_log(run_id, offset, 1)))


def size_by_probing(has_byte: Callable[[int], bool]) -> int:
    """Length of something of which one can only ask whether it has a byte at an offset.

    About 30 one-byte questions for 20 MB, where reading it all would be 20 MB for every look.
    """
    low, high = 0, _BYTES
    while has_byte(high):
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if has_byte(middle) else (low, middle)
    return low
