"""Models where a scoring program of its own process finds them."""

from __future__ import annotations

import hashlib
import secrets

from fitq.backend import Backend, open_objects
from fitq.drafts import publish
from fitq.queue import NullQueue
from fitq.records import ModelRecord, now
from fitq.scorer.facts import ModelFacts
from fitq.settings import Settings
from fitq.store.memory import MemoryState
from tests.scoring.conftest import saved


def backend_of(settings: Settings) -> Backend:
    """What registers models where the program finds them. It never asks Redis, so neither do we."""
    return Backend(settings.workspace, MemoryState(), open_objects(settings), NullQueue())


def keep(settings: Settings, name: str, model: object, facts: ModelFacts) -> ModelRecord:
    """The next version of a model, kept by the rules by which it is registered."""
    backend, data = backend_of(settings), saved(model)
    sha256 = hashlib.sha256(data).hexdigest()
    draft = ModelRecord(
        name=name, version=0, created_at=now(), path="m", sha256=sha256, size_bytes=len(data),
        object_key=backend.keys.model_file(name, sha256), methods=facts.methods, versions=facts.versions,
        input_schema=facts.input_schema, default_method=facts.default_method, nonce=secrets.token_hex(8),
    )  # fmt: skip
    backend.objects.put(draft.object_key, data)
    return publish(backend, draft)
