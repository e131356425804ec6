"""Rules of files that become models when their run completes: asked for at submission, or by the script.

A file is looked into before the run ends, so that one that is no model leaves a warning on the run. What was
found out stands as a draft in the run's final record; how it gets its version is in `drafts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fitq import registry
from fitq.backend import Backend
from fitq.environments.builder import Environments
from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger
from fitq.model_sources import meant_file
from fitq.records import ModelRecord, Registration, RunRecord
from fitq.scorer.confinement import NOT_CONFINED, Confinement

log = get_logger(__name__)


class Drafts(NamedTuple):
    """The models that a run will leave if it completes."""

    models: list[ModelRecord]
    warnings: list[str]  #: for the run: what cannot become a model, and why


NO_DRAFTS = Drafts([], [])


def draft(
    backend: Backend,
    run: RunRecord,
    wanted: list[Registration],
    files: Mapping[str, Path],
    environments: Environments | None = None,
    memory_bytes: int = 0,
    confinement: Confinement = NOT_CONFINED,
) -> Drafts:
    """Look into the files that are to become models.

    Args:
        files: what the run left, by path, on this machine's disk.
        environments: those of this machine; None: everything is loaded in this program's own.
        memory_bytes: that looking into one may take; 0 for any amount.
        confinement: of the process that does so.

    Raises:
        Unavailable: the object store is away, or no process can be confined to look into one.
    """
    models, warnings = list[ModelRecord](), list[str]()
    for number, registration in enumerate(wanted):
        try:
            path = meant_file(run.id, list(files), registration)
            nonce = f"{run.id}|{run.attempt_id}|{number}"
            file = files[path]
            models.append(
                registry.draft(
                    backend,
                    registration,
                    path,
                    file,
                    run=run,
                    nonce=nonce,
                    environments=environments,
                    memory_bytes=memory_bytes,
                    confinement=confinement,
                )
            )
        except Unavailable:
            raise
        except FitqError as exc:
            warnings.append(f"Model {registration.name!r} was not registered: {exc}")
    return Drafts(models, warnings)
