"""Rules of an attempt: what a worker that has a run may do with it, and when it no longer may.

Every change is a compare-and-set over the version that was read, and carries the attempt's number. A
worker whose attempt is over, because the run was canceled or given to somebody else, is *fenced*: its
next change raises `Fenced` and nothing of it becomes visible.

How an attempt begins, and how its run is given back, is in `claims.py`; how a run ends, in
`final_records.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from fitq.backend import Backend
from fitq.errors import Conflict
from fitq.records import TRANSITIONS, RunRecord, RunStatus, TimelineEntry, now
from fitq.store.protocols import Lease

#: Unless settings say otherwise. A worker renews every 2 s, so it tolerates stalls of several renewals.
LEASE_SECONDS = 15.0

HELD = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.FINALIZING)


class Fenced(Exception):
    """The attempt is no longer the run's current one; whoever holds it must stop and be silent."""


def is_held(run: RunRecord) -> bool:
    """Whether a worker has the run."""
    return run.status in HELD


def is_in(run: RunRecord, attempt_id: str) -> bool:
    """Whether a worker has the run, in that attempt."""
    # By the claim: a run restored after a loss of Redis counts its attempts anew.
    return is_held(run) and run.attempt_id == attempt_id


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


def advance(backend: Backend, held: RunRecord, status: RunStatus, **changes: Any) -> RunRecord:
    """Bring a held run into its next status. Safe to call again when the answer to it was lost.

    Raises:
        Fenced: the attempt is no longer the current one.
    """

    def once(run: RunRecord) -> RunRecord:
        return run if run.status is status else step(run, status, **changes)

    return change(backend, held, once)


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
        current, is_read = newest(backend, held), True


def newest(backend: Backend, held: RunRecord) -> RunRecord:
    """The newest version of a held run.

    Raises:
        Fenced: the attempt is no longer the current one.
    """
    current = backend.state.get_run(held.id)
    while current is None:  # Redis lost its data, and the holder knows best what was in it
        backend.state.add_run(held)
        current = backend.state.get_run(held.id)
    if not is_in(current, held.attempt_id):
        raise Fenced(held.id)
    return current


def has_gone_on(backend: Backend, run_id: str, attempt_id: str) -> bool:
    """Whether the run is known and the attempt is not the one that it is in."""
    run = backend.state.get_run(run_id)
    return run is not None and not is_in(run, attempt_id)
