"""Rules of an attempt: how a worker takes a run, changes it, and ends it once.

Every change is a compare-and-set over the version that was read, and carries the attempt's number. A
worker whose attempt is over, because the run was canceled or given to somebody else, is *fenced*: its
next change raises `Fenced` and nothing of it becomes visible.

An attempt holds a lease, which its worker renews. One whose lease ran out is *lost*: the run goes back to
its queue for the next attempt, or ends as `worker_lost` when it may have no more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from fitq.backend import Backend
from fitq.errors import Conflict
from fitq.records import (
    TRANSITIONS,
    ArtifactRecord,
    ChildRun,
    Failure,
    FinalRecord,
    MetricPoint,
    ModelRecord,
    RunRecord,
    RunStatus,
    TimelineEntry,
    from_json,
    now,
    to_json,
)
from fitq.store.protocols import Lease

#: Unless settings say otherwise. A worker renews every 2 s, so it tolerates stalls of several renewals.
LEASE_SECONDS = 15.0

#: Where stdout and stderr of a run lie among its artifacts, as in Azure.
LOG_PATH = "user_logs/std_log.txt"


class Fenced(Exception):
    """The attempt is no longer the run's current one; whoever holds it must stop and be silent."""


def claim(
    backend: Backend,
    run_id: str,
    worker: str,
    lease_seconds: float = LEASE_SECONDS,
    *,
    claim_id: str | None = None,
) -> RunRecord | None:
    """Take a queued run for a new attempt; None when there is nothing to take.

    Of two deliveries of one message, one finds the run taken.

    Args:
        claim_id: a fresh one if None. Whoever calls again because an answer was lost gives the same one,
            and gets the run that the first call took.
    """
    claim_id = claim_id or new_claim_id()
    run = backend.state.get_run(run_id)
    if run is not None and is_held(run) and run.claim_id == claim_id:
        return run
    if run is None or run.status is not RunStatus.QUEUED:
        return None
    if run.cancel_requested:
        cancel_queued(backend, run)
        return None
    waited = run.usage.queue_seconds + (now() - run.timeline[-1].at).total_seconds()
    taken = msgspec.structs.replace(
        run,
        attempt=run.attempt + 1,
        worker=worker,
        claim_id=claim_id,
        usage=msgspec.structs.replace(run.usage, queue_seconds=round(waited, 3)),
    )
    taken = step(taken, RunStatus.PREPARING, worker)
    # Before the claim: a claimed run is never without a lease.
    backend.state.renew_leases([lease_of(taken)], lease_seconds)
    if backend.state.replace_run(taken):
        return taken
    return claim(backend, run_id, worker, lease_seconds, claim_id=claim_id)


def new_claim_id() -> str:
    """What tells one claim from every other."""
    return secrets.token_hex(4)


def lease_of(run: RunRecord) -> Lease:
    """The lease of the attempt that a run is in."""
    return Lease(run.id, run.attempt_id)


def step(run: RunRecord, status: RunStatus, reason: str = "", **changes: Any) -> RunRecord:
    """The next version of a run, in another status.

    Raises:
        Conflict: the transition table has no such step.
    """
    if status not in TRANSITIONS[run.status]:
        raise Conflict(f"Run {run.id!r} cannot go from {run.status} to {status}.")
    entry = TimelineEntry(status=status, at=now(), attempt=run.attempt, reason=reason)
    return msgspec.structs.replace(
        run,
        status=status,
        timeline=[*run.timeline, entry],
        sequence=run.sequence + 1,
        **changes,
    )


def change(backend: Backend, held: RunRecord, update: Callable[[RunRecord], RunRecord]) -> RunRecord:
    """Apply `update` to the newest version of a held run and keep the result.

    Raises:
        Fenced: the attempt is no longer the current one.
    """
    current, is_read = held, False  # mostly nobody else has changed it since: then nothing need be read
    while True:
        updated = update(current)
        if updated is not current:
            if updated.sequence == current.sequence:
                updated = msgspec.structs.replace(updated, sequence=current.sequence + 1)
            if backend.state.replace_run(updated, claimed_as=held.claim_id):
                return updated
        elif is_read:
            return current
        current, is_read = _newest(backend, held), True


def _newest(backend: Backend, held: RunRecord) -> RunRecord:
    current = backend.state.get_run(held.id)
    while current is None:  # Redis lost its data, and the holder knows best what was in it
        backend.state.add_run(held)
        current = backend.state.get_run(held.id)
    if not _is_same_attempt(current, held):
        raise Fenced(held.id)
    return current


def _is_same_attempt(current: RunRecord, held: RunRecord) -> bool:
    # By the claim: a run restored after a loss of Redis counts its attempts anew.
    return is_held(current) and current.attempt_id == held.attempt_id


def advance(backend: Backend, held: RunRecord, status: RunStatus, **changes: Any) -> RunRecord:
    """Bring a held run into its next status. Safe to call again when the answer to it was lost.

    Raises:
        Fenced: the attempt is no longer the current one.
    """

    def once(run: RunRecord) -> RunRecord:
        return run if run.status is status else step(run, status, **changes)

    return change(backend, held, once)


def is_held(run: RunRecord) -> bool:
    """Whether a worker has the run."""
    return run.status in HELD


HELD = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.FINALIZING)


def hand_back(backend: Backend, held: RunRecord, reason: str) -> RunRecord:
    """Give a run back to its queue for another attempt, because the worker cannot go on.

    One that somebody asked to cancel ends instead. Safe to call again when the answer to it was lost.

    Raises:
        Fenced: it was given back before, or the attempt is no longer the current one.
    """
    return _give_back(backend, held, reason, losses=0)


def lose(backend: Backend, held: RunRecord) -> RunRecord:
    """Take a run from a worker that let its lease run out.

    Raises:
        Fenced: it moved on in the meantime; nothing was lost.
    """
    kept = backend.objects.get(backend.keys.final(held.id))
    if kept is not None:  # the worker ended it, and was lost before it could say so
        return adopt(backend, from_json(kept, FinalRecord))
    return _give_back(backend, held, f"worker {held.worker} was lost", losses=1)


def lose_dead(backend: Backend, run_id: str, attempt_id: str) -> RunRecord | None:
    """Take a run from a worker that is known to be dead; None if the run has gone on since."""
    run = backend.state.get_run(run_id)
    if run is None or not is_held(run) or run.attempt_id != attempt_id:
        return None
    try:
        return lose(backend, run)
    except Fenced:  # somebody else saw it too
        return None


def has_gone_on(backend: Backend, run_id: str, attempt_id: str) -> bool:
    """Whether the run is known and the attempt is not the one that it is in."""
    run = backend.state.get_run(run_id)
    return run is not None and not (is_held(run) and run.attempt_id == attempt_id)


def _give_back(backend: Backend, held: RunRecord, reason: str, *, losses: int) -> RunRecord:
    """`losses`: how many more attempts count as lost. One that a worker hands back in order does not."""

    def again(run: RunRecord) -> RunRecord:
        if not is_held(run):
            raise Fenced(run.id)
        if _why_no_more(run, reason, losses):
            return run
        return step(run, RunStatus.QUEUED, reason, worker="", losses=run.losses + losses)

    try:
        given = change(backend, held, again)
    except Fenced:
        if losses:  # of two schedulers that do this at once, one did it
            raise
        given = _given_back(backend, held, reason)
    backend.state.drop_lease(lease_of(held))
    if end := _why_no_more(given, reason, losses):
        return _publish(backend, _as_seen(backend, given, *end), given)
    backend.queue.send(pool=given.pool, actor=given.actor, run_id=given.id)
    return given


def _why_no_more(held: RunRecord, reason: str, losses: int) -> tuple[RunStatus, Failure] | None:
    """How a held run ends that may have no further attempt; None if it may."""
    if not is_held(held):
        return None
    if held.cancel_requested:
        return RunStatus.CANCELED, Failure(kind="canceled", message=f"Canceled; {reason}.")
    if losses == 0 or held.losses + losses < held.max_attempts:
        return None
    return RunStatus.FAILED, Failure(
        kind="worker_lost",
        message=f"Attempt {held.attempt} was lost with its worker; max_attempts allows no more.",
        hint="Did the run itself bring the machine down? Look at its memory and at the worker's log.",
    )


def _given_back(backend: Backend, held: RunRecord, reason: str) -> RunRecord:
    """The run as we gave it back ourselves, when the answer to that was lost.

    Raises:
        Fenced: it was not us.
    """
    current = backend.state.get_run(held.id)
    if (
        current is None
        or current.status is not RunStatus.QUEUED
        or current.attempt_id != held.attempt_id
        or current.timeline[-1].reason != reason
    ):
        raise Fenced(held.id)
    return current


def _as_seen(backend: Backend, run: RunRecord, status: RunStatus, failure: Failure) -> FinalRecord:
    """The end of a run of whose last attempt there is only what was seen of it: its live log and metrics.

    Under a claim of its own, so that nothing which a worker may yet upload lies among it.
    """
    ended = step(run, status, failure.message, failure=failure, claim_id=new_claim_id())
    data = backend.state.read_log(run.id, 0, 1 << 30)
    backend.objects.put(backend.keys.attempt_file(ended, LOG_PATH), data)
    artifact = ArtifactRecord(path=LOG_PATH, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    metrics = backend.state.read_metrics(run.id)
    return FinalRecord(run=ended, artifacts=[artifact], metrics=metrics, nonce=secrets.token_hex(8))


def finish(
    backend: Backend,
    held: RunRecord,
    status: RunStatus,
    *,
    failure: Failure | None = None,
    artifacts: list[ArtifactRecord] | None = None,
    metrics: list[MetricPoint] | None = None,
    models: list[ModelRecord] | None = None,
    children: list[ChildRun] | None = None,
) -> RunRecord:
    """End a run. The first final record in the object store wins; later ones adopt it.

    With `models`, its marker stays for `drafts.complete`.

    Raises:
        Fenced: the attempt was over before anything was written.
    """
    try:
        current = _newest(backend, held)
    except Fenced:
        if ended_before := _ended_by(backend, held):  # the answer to that was lost
            return ended_before
        raise
    ended = step(current, status, failure.message if failure else "", failure=failure)
    final = FinalRecord(
        run=ended,
        artifacts=artifacts or [],
        metrics=metrics or [],
        models=models or [],
        children=children or [],
        nonce=secrets.token_hex(8),
    )
    return _publish(backend, final, current)


def _ended_by(backend: Backend, held: RunRecord) -> RunRecord | None:
    current = backend.state.get_run(held.id)
    if current is None or not current.status.is_final or current.attempt_id != held.attempt_id:
        return None
    forget_live(backend, current)
    return current


def cancel_queued(backend: Backend, run: RunRecord) -> RunRecord | None:
    """End a run that no worker has, as Canceled, or as an attempt ended it that was overtaken and won all the
    same; None when a worker took it in between.

    The object store first: once it says Canceled, a worker that takes the run all the same meets that
    record when it ends it. The other way round a lost Redis would bring a canceled run back.
    """
    if run.attempt:
        failure = Failure(kind="canceled", message="Canceled while it waited for another attempt.")
        ours = _as_seen(backend, run, RunStatus.CANCELED, failure)
    else:
        failure = Failure(kind="canceled", message="Canceled before it started.")
        canceled = step(run, RunStatus.CANCELED, failure.message, failure=failure)
        ours = FinalRecord(run=canceled, nonce=secrets.token_hex(8))
    final = _put(backend, ours)
    ended = msgspec.structs.replace(final.run, sequence=run.sequence + 1)
    return adopt(backend, final, ended) if backend.state.replace_run(ended) else None


def _publish(backend: Backend, final: FinalRecord, current: RunRecord) -> RunRecord:
    return adopt(backend, _put(backend, final), current)


def _put(backend: Backend, final: FinalRecord) -> FinalRecord:
    """The final record that counts: this one, or the one that was there."""
    key = backend.keys.final(final.run.id)
    if backend.objects.put_if_absent(key, to_json(final)):
        return final
    kept = from_json(backend.objects.get(key) or b"{}", FinalRecord)
    # Not necessarily somebody else: an answer to our own put may have been lost.
    return final if kept.nonce == final.nonce else kept


def adopt(backend: Backend, final: FinalRecord, current: RunRecord | None = None) -> RunRecord:
    """Make Redis say what the final record says, and forget what only a living run needs.

    Args:
        current: the run as it was read a moment ago; read here if None.
    """
    ended = final.run
    current = current or backend.state.get_run(ended.id)
    while current is not None and not current.status.is_final:
        if backend.state.replace_run(msgspec.structs.replace(ended, sequence=current.sequence + 1)):
            break
        current = backend.state.get_run(ended.id)
    if current is None:  # Redis lost its data
        backend.state.add_run(ended)
    forget_live(backend, ended)
    if not final.models:
        backend.objects.delete(backend.keys.open_run(ended.id))
    return ended


def forget_live(backend: Backend, ended: RunRecord) -> None:
    """Forget what only a living run needs."""
    backend.state.drop_live(ended.id, lease=lease_of(ended))
