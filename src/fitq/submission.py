"""Rules of submitting: the three writes that accept a run. What may become one is in `admission.py`.

The object store is written first (`open/<run>.json` is what "accepted" means), then Redis, then the
queue. Whatever is missing after a crash in between is made up for by the scheduler.
"""

from __future__ import annotations

import hashlib

import msgspec

from fitq import runs
from fitq.admission import admit
from fitq.backend import Backend
from fitq.errors import Conflict, Unavailable
from fitq.logs import get_logger
from fitq.names import new_run_id
from fitq.records import RunRecord, RunRequest, from_kept_json, to_json

log = get_logger(__name__)
#: How long a repeated Idempotency-Key finds its run.
IDEMPOTENCY_SECONDS = 24 * 3600


def submit(backend: Backend, request: RunRequest, *, idempotency_key: str | None = None) -> RunRecord:
    """Accept a run: in the object store, then in Redis, then on its pool's queue.

    The same idempotency key gives the same run, however often it is sent.

    Raises:
        InvalidRequest, InvalidParameters: the request is wrong; nothing was kept.
        NotFound: no pool knows the function, or the snapshot is not here.
        Conflict: the key was used for another request.
        Unavailable: a store is away; nothing was accepted.
    """
    run = admit(backend, request)
    if idempotency_key:
        run = _named_by_key(backend, run, hashlib.sha256(idempotency_key.encode()).hexdigest())
        if known := _accepted_before(backend, run):
            return known
    run = _accept(backend, run)
    log.info("run_submitted", run_id=run.id, pool=run.pool, actor=run.actor)
    return run


def _named_by_key(backend: Backend, run: RunRecord, digest: str) -> RunRecord:
    """The run under the id that its key was first used for; one that the key decides, if it is new.

    So the same request gets the same id also when Redis lost what it remembered of keys.
    """
    stem = run.id.rpartition("-")[0]
    first = backend.state.remember_once(digest, new_run_id(stem, bytes.fromhex(digest)), IDEMPOTENCY_SECONDS)
    return msgspec.structs.replace(run, id=first, idempotency=digest)


def _accepted_before(backend: Backend, run: RunRecord) -> RunRecord | None:
    """The run that an earlier request with the same key made.

    Raises:
        Conflict: that was another request.
    """
    known = backend.state.get_run(run.id)
    if known is None and not backend.state.is_whole():  # it may have ended before Redis lost its data
        known = runs.kept(backend, run.id)
    if known is None:
        return None
    if known.request_digest != run.request_digest:
        raise Conflict(
            f"This Idempotency-Key was already used for run {run.id!r} with another request.",
            hint="Use a new key for a new run.",
            run=run.id,
        )
    if not known.status.is_final:  # a request that was answered 503 took its marker back
        backend.objects.put_if_absent(backend.keys.open_run(run.id), to_json(run))
    return known


def _accept(backend: Backend, run: RunRecord) -> RunRecord:
    """Make the three writes; what comes back is the run that is there."""
    key = backend.keys.open_run(run.id)
    is_new = backend.objects.put_if_absent(key, to_json(run))
    if not is_new and not run.idempotency:  # another run has that id, by chance
        return _accept(backend, msgspec.structs.replace(run, id=new_run_id(run.id.rpartition("-")[0])))
    if not is_new:  # the same request was accepted before
        run = from_kept_json(backend.objects.get(key) or to_json(run), RunRecord)
    try:
        if not backend.state.add_run(run) and (ended := _ended_meanwhile(backend, run)):
            return ended
    except Unavailable:
        # Redis went away in between: the caller hears 503, so the run should not exist.
        if is_new:
            _try_delete(backend, key)
        raise
    try:
        backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
    except Unavailable as exc:
        # Both stores have it, so it will run: the scheduler sends what no message speaks of.
        log.warning("message_not_sent", run_id=run.id, error=exc.message)
    return run


def _ended_meanwhile(backend: Backend, run: RunRecord) -> RunRecord | None:
    """The run, if a request that came before this one made it and it is over already."""
    known = backend.state.get_run(run.id)
    if known is None or not known.status.is_final:
        return None
    _try_delete(backend, backend.keys.open_run(run.id))  # written by this request, after its end
    return known


def _try_delete(backend: Backend, key: str) -> None:
    try:
        backend.objects.delete(key)
    except Unavailable:
        log.warning("open_run_left_behind", key=key)
