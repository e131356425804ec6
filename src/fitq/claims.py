"""Who has a run: how a worker takes it from its queue, and how it goes back when that worker cannot go on.

An attempt holds a lease, which its worker renews. One whose lease ran out is *lost*: the run goes back to
its queue for the next attempt, or ends as `worker_lost` when it may have no more.
"""

from __future__ import annotations

import msgspec

from fitq import final_records
from fitq.attempts import LEASE_SECONDS, Fenced, change, is_held, is_in, lease_of, new_claim_id, step
from fitq.backend import Backend
from fitq.records import Failure, FinalRecord, RunRecord, RunStatus, from_kept_json, now


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
        final_records.cancel_queued(backend, run)
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
        return final_records.adopt(backend, from_kept_json(kept, FinalRecord))
    return _give_back(backend, held, f"worker {held.worker} was lost", losses=1)


def lose_dead(backend: Backend, run_id: str, attempt_id: str) -> RunRecord | None:
    """Take a run from a worker that is known to be dead; None if the run has gone on since."""
    run = backend.state.get_run(run_id)
    if run is None or not is_in(run, attempt_id):
        return None
    try:
        return lose(backend, run)
    except Fenced:  # somebody else saw it too
        return None


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
        return final_records.publish(backend, final_records.as_seen(backend, given, *end), given)
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
