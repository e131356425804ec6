"""Rules of files that become models when their run completes: asked for at submission, or by the script.

A file is looked into before the run ends, so that one that is no model leaves a warning on the run. What was
found out stands as a draft in the run's final record, beside bytes that are kept already; a draft becomes a
version by one put. Until then the marker `open/<run>.json` stays, and whoever finds it, a scheduler
included, may do it again: one version comes of each draft.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fitq import registry
from fitq.backend import Backend
from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger
from fitq.records import FinalRecord, ModelRecord, Registration, RunRecord, RunStatus, from_json

log = get_logger(__name__)


class Drafts(NamedTuple):
    """The models that a run will leave if it completes."""

    models: list[ModelRecord]
    warnings: list[str]  #: for the run: what cannot become a model, and why


def draft(backend: Backend, run: RunRecord, wanted: list[Registration], files: Mapping[str, Path]) -> Drafts:
    """Look into the files that are to become models.

    Args:
        files: what the run left, by path, on this machine's disk.

    Raises:
        Unavailable: the object store is away.
    """
    models, warnings = list[ModelRecord](), list[str]()
    for number, registration in enumerate(wanted):
        try:
            path = registry.meant_file(run.id, list(files), registration)
            nonce = f"{run.id}|{run.attempt_id}|{number}"
            models.append(registry.draft(backend, registration, path, files[path], run=run, nonce=nonce))
        except Unavailable:
            raise
        except FitqError as exc:
            warnings.append(f"Model {registration.name!r} was not registered: {exc}")
    return Drafts(models, warnings)


def complete(backend: Backend, run_id: str) -> list[ModelRecord]:
    """Make versions of the drafts of a run that has ended, then forget its marker.

    Raises:
        Unavailable: a store went away; the marker stays, and it may be done again.
    """
    data = backend.objects.get(backend.keys.final(run_id))
    final = None if data is None else from_json(data, FinalRecord)
    drafts = final.models if final is not None and final.run.status is RunStatus.COMPLETED else []
    models = [registry.publish(backend, model) for model in drafts]
    backend.objects.delete(backend.keys.open_run(run_id))
    return models
