"""Rules of drafts: models that have been looked into, and whose bytes are kept, but that have no version yet.

A draft becomes a version by one put. Those of a run stand in its final record, and until they are versions
its marker `open/<run>.json` stays: whoever finds it, a scheduler included, may do it again, and one version
comes of each draft. Nothing here looks into a model, so a scheduler needs no numpy.
"""

from __future__ import annotations

import msgspec

from fitq.backend import Backend
from fitq.logs import get_logger
from fitq.records import FinalRecord, ModelRecord, RunStatus, from_kept_json, to_json

log = get_logger(__name__)
_LATELY = 50  #: versions among which one that was made by the same run is looked for


def publish(backend: Backend, draft: ModelRecord, *, again: bool = True) -> ModelRecord:
    """Make a draft the next version of its model, by a put that one writer wins. One that is published twice,
    even at the same time, is one version.

    Args:
        again: whether it may have been published before.
    """
    used = backend.catalog.used(draft.name)
    known = _with_nonce(backend, draft, used[-_LATELY:]) if again else None
    if known is not None:
        return known
    version = used[-1] + 1 if used else 1
    while True:
        numbered = msgspec.structs.replace(draft, version=version)
        if _won(backend, numbered):
            backend.note_change(numbered.name)
            log.info("model_registered", model=numbered.id, run=numbered.run)
            return numbered
        version += 1


def _with_nonce(backend: Backend, record: ModelRecord, versions: list[int]) -> ModelRecord | None:
    known = (backend.catalog.kept(record.name, version) for version in reversed(versions))
    return next((k for k in known if k is not None and k.nonce == record.nonce), None)


def _won(backend: Backend, record: ModelRecord) -> bool:
    key = backend.keys.model_version(record.name, record.version)
    if backend.objects.put_if_absent(key, to_json(record)):
        return True
    # Our own put may have been applied although its answer was lost.
    kept = backend.objects.get(key)
    return kept is not None and from_kept_json(kept, ModelRecord).nonce == record.nonce


def complete(backend: Backend, run_id: str) -> list[ModelRecord]:
    """Make versions of the drafts of a run that has ended, then forget its marker.

    Raises:
        Unavailable: a store went away; the marker stays, and it may be done again.
    """
    data = backend.objects.get(backend.keys.final(run_id))
    final = None if data is None else from_kept_json(data, FinalRecord)
    drafts = final.models if final is not None and final.run.status is RunStatus.COMPLETED else []
    models = [publish(backend, model) for model in drafts]
    backend.objects.delete(backend.keys.open_run(run_id))
    return models
