"""The last part of a run's log, without reading the rest of it."""

from __future__ import annotations

from typing import NamedTuple

from fitq import runs
from fitq.backend import Backend
from fitq.dashboard.logtext import log_text, tail
from fitq.final_records import LOG_PATH
from fitq.records import RunRecord

_BYTES, _CHARACTERS = 64_000, 10_000


class LogTail(NamedTuple):
    """What a page shows, and from where live lines go on."""

    text: str
    offset: int  #: bytes of the log up to the end of `text`
    is_cut: bool


def log_tail(backend: Backend, run: RunRecord) -> LogTail:
    """At most about 10,000 characters of whole lines, counted as they are escaped on a page."""
    size = _final_size(backend, run) if run.status.is_final else backend.state.log_size(run.id)
    start = max(0, size - _BYTES)
    data = runs.read_log(backend, run.id, start, _BYTES).data
    text, is_cut = tail(log_text(data), _CHARACTERS)
    return LogTail(text, start + len(data), is_cut or start > 0)


def _final_size(backend: Backend, run: RunRecord) -> int:
    key = backend.keys.attempt_file(run, LOG_PATH)
    return backend.objects.size(key) or 0
