"""How a run ends, once: the first final record in the object store wins, later ones adopt it.

It is put there first; then Redis is made to say the same, and forgets what only a living run needs.
"""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from fitq.attempts import Fenced, lease_of, new_claim_id, newest, step
from fitq.backend import Backend
from fitq.records import (
    ArtifactRecord,
    ChildRun,
    Failure,
    FinalRecord,
    MetricPoint,
    ModelRecord,
    RunRecord,
    RunStatus,
    from_kept_json,
    to_json,
)

#: Where stdout and stderr of a run lie among its artifacts, as in Azure.
LOG_PATH = "user_logs/std_log.txt"


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
        current = newest(backend, held)
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
    return publish(backend, final, current)


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
        ours = as_seen(backend, run, RunStatus.CANCELED, failure)
    else:
        failure = Failure(kind="canceled", message="Canceled before it started.")
        canceled = step(run, RunStatus.CANCELED, failure.message, failure=failure)
        ours = FinalRecord(run=canceled, nonce=secrets.token_hex(8))
    final = _put(backend, ours)
    ended = msgspec.structs.replace(final.run, sequence=run.sequence + 1)
    return adopt(backend, final, ended) if backend.state.replace_run(ended) else None


def as_seen(backend: Backend, run: RunRecord, status: RunStatus, failure: Failure) -> FinalRecord:
    """The end of a run of whose last attempt there is only what was seen of it: its live log and metrics.

    Under a claim of its own, so that nothing which a worker may yet upload lies among it.
    """
    ended = step(run, status, failure.message, failure=failure, claim_id=new_claim_id())
    data = backend.state.read_log(run.id, 0, 1 << 30)
    backend.objects.put(backend.keys.attempt_file(ended, LOG_PATH), data)
    artifact = ArtifactRecord(path=LOG_PATH, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    metrics = backend.state.read_metrics(run.id)
    return FinalRecord(run=ended, artifacts=[artifact], metrics=metrics, nonce=secrets.token_hex(8))


def publish(backend: Backend, final: FinalRecord, current: RunRecord) -> RunRecord:
    """Have this be the end of a run as it was read a moment ago, unless it has one; returns how it ended."""
    return adopt(backend, _put(backend, final), current)


def _put(backend: Backend, final: FinalRecord) -> FinalRecord:
    """The final record that counts: this one, or the one that was there."""
    key = backend.keys.final(final.run.id)
    if backend.objects.put_if_absent(key, to_json(final)):
        return final
    kept = from_kept_json(backend.objects.get(key) or b"{}", FinalRecord)
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
