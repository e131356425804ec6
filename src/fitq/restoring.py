"""Filling Redis again from the object store, after it lost some or all of its data.

Accepted runs come first: somebody waits for them. Every step may be done twice and by two.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from fitq import drafts, final_records
from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.records import FinalRecord, RunRecord, Unreadable, from_kept_json
from fitq.store.patience import patiently
from fitq.store.protocols import Restoring
from fitq.submission import IDEMPOTENCY_SECONDS

log = get_logger(__name__)
_READERS = 8
_AT_ONCE = 200
_PATIENCE_SECONDS = 5.0  #: for one run; then the whole is tried again, from where it is


def restore_open(backend: Backend) -> int:
    """Queue runs again that were accepted and that Redis does not know; returns how many.

    They are missing after Redis lost its data, or when an API process died between the writes of a
    submit. Workers that still execute some of them must have had the time to say so. A run that has
    ended and still has its marker, because whoever ended it died, gets what was to follow its end.

    Raises:
        Unavailable: a store went away for some of them; the others are done.
    """

    def care_for(marker: str) -> bool | None:
        try:
            return _care_for(backend, marker)
        except Unavailable as exc:  # the others should not wait for this one
            log.warning("run_not_restored", marker=marker, error=exc.message)
            return None

    with ThreadPoolExecutor(_READERS) as readers:
        markers = [found.key for found in backend.objects.list(backend.keys.open_runs())]
        cared = list(readers.map(care_for, markers))
    if None in cared:
        raise Unavailable(f"{cared.count(None)} of {len(markers)} accepted runs could not be looked at.")
    return sum(map(bool, cared))


def _care_for(backend: Backend, marker: str) -> bool:
    """Whether the run came back."""
    run_id = marker.rpartition("/")[2].removesuffix(".json")
    run = backend.state.get_run(run_id)
    if run is None:
        return _bring_back(backend, marker, run_id)
    if run.status.is_final:
        final_records.forget_live(backend, run)
        drafts.complete(backend, run_id)
        log.warning("run_completed_late", run_id=run_id)
    return False


def _bring_back(backend: Backend, marker: str, run_id: str) -> bool:
    if (kept := backend.objects.get(backend.keys.final(run_id))) is not None:
        final_records.adopt(backend, from_kept_json(kept, FinalRecord))
        drafts.complete(backend, run_id)
        return True
    accepted = backend.objects.get(marker)
    return accepted is not None and _requeue(backend, from_kept_json(accepted, RunRecord))


def _requeue(backend: Backend, run: RunRecord) -> bool:
    if not backend.state.add_run(run):
        return False
    _remember_key(backend, run)
    backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
    return True


def _remember_key(backend: Backend, run: RunRecord) -> None:
    if run.idempotency:
        backend.state.remember_once(run.idempotency, run.id, IDEMPOTENCY_SECONDS)


def progress(backend: Backend) -> str:
    """What people are told while Redis is being filled; empty when it has everything."""
    if (at := backend.state.restoring()) is not None:
        return f"being filled from the object store: {at.runs} of {at.of} ended runs are listed"
    if backend.state.leader() is not None and not backend.state.is_whole():
        return "being filled from the object store: accepted runs first"
    return ""  # or nobody fills it: that is for the programs' own states to say


def restore_ended(backend: Backend) -> int:
    """List runs again that ended and that Redis does not know; returns how many.

    While it goes on, `StateStore.restoring` tells how far it is.
    """
    known = backend.state.run_ids()
    missing = [run for run in backend.objects.list_folders(backend.keys.runs()) if run not in known]
    count = 0

    def final_of(run: str) -> bytes | None:
        read = functools.partial(backend.objects.get, backend.keys.final(run))
        return patiently(read, what=f"read the end of {run}", seconds=_PATIENCE_SECONDS)

    try:
        with ThreadPoolExecutor(_READERS) as readers:
            for some in _in_pieces(missing):
                backend.state.note_restoring(Restoring(count, len(missing)))
                for data in readers.map(final_of, some):
                    count += bool(data and _list_again(backend, data))
    finally:
        backend.state.note_restoring(None)
    return count


def _in_pieces(runs: Iterable[str]) -> Iterator[list[str]]:
    left = iter(runs)
    while piece := list(itertools.islice(left, _AT_ONCE)):
        yield piece


def _list_again(backend: Backend, final: bytes) -> bool:
    try:
        run = from_kept_json(final, FinalRecord).run
    except Unreadable as exc:  # the others should not miss for this one
        log.error("run_not_listed", error=exc.message)
        return False
    _remember_key(backend, run)
    return backend.state.add_run(run)
