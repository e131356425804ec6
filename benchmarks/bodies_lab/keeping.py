"""Model files where the scoring program finds them, as registration would leave them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fitq.records import ModelRecord, now, to_json
from fitq.scorer.facts import ModelFacts
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects


def keep(objects: MemoryObjects, path: Path, facts: ModelFacts, **changes: Any) -> None:
    """Keep a model file as the first version of what it is named for."""
    keys, data, name = ObjectKeys("default"), path.read_bytes(), path.stem
    sha256 = hashlib.sha256(data).hexdigest()
    record = ModelRecord(
        name=name, version=1, created_at=now(), path=path.name, sha256=sha256, size_bytes=len(data),
        object_key=keys.model_file(name, sha256), estimator=facts.estimator, methods=facts.methods,
        input_schema=facts.input_schema, versions=facts.versions,
        **{"default_method": facts.default_method, **changes},
    )  # fmt: skip
    objects.put(record.object_key, data)
    objects.put(keys.model_version(name, 1), to_json(record))
