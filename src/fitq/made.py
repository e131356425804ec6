"""Rules of model files that runs left: their hashes are remembered, so that one is known when it comes back.

A file that somebody downloads from a run and uploads again is that run's file: it is loaded in the versions
of the run, and not judged as one of unknown origin.
"""

from __future__ import annotations

from collections.abc import Iterable

from fitq import runs
from fitq.backend import Backend
from fitq.errors import NotFound
from fitq.records import ArtifactRecord, Record, RunRecord, from_kept_json, to_json

MODEL_SUFFIXES = (".joblib", ".pkl", ".pickle", ".skops")
#: A script may leave thousands of files that are named like models; one by one that takes time.
_MOST = 50


class Made(Record, frozen=True, kw_only=True):
    """Which run left a file."""

    run: str
    path: str


def remember(backend: Backend, run: RunRecord, artifacts: Iterable[ArtifactRecord]) -> None:
    """Note the model files among what an ended run left. May be done again.

    Raises:
        Unavailable: the object store is away.
    """
    models = [a for a in artifacts if a.path.endswith(MODEL_SUFFIXES)]
    for artifact in models[:_MOST]:
        made = Made(run=run.id, path=artifact.path)
        backend.objects.put_if_absent(backend.keys.made(artifact.sha256), to_json(made))


def maker_of(backend: Backend, sha256: str) -> RunRecord | None:
    """The run that left a file with this hash; None if none is known to have."""
    data = backend.objects.get(backend.keys.made(sha256))
    if data is None:
        return None
    try:
        return runs.find(backend, from_kept_json(data, Made).run)
    except NotFound:
        return None
