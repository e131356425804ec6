"""A workspace in memory with two versions of a model."""

from __future__ import annotations

import pytest

from fitq.backend import Backend
from fitq.records import InputSchema, ModelRecord, now, to_json


def keep_model(backend: Backend, name: str, *versions: int) -> None:
    """Versions that can be scored, without the file."""
    for version in versions:
        record = ModelRecord(
            name=name,
            version=version,
            created_at=now(),
            path="model.joblib",
            sha256="0" * 64,
            size_bytes=1,
            object_key="x",
            methods=["predict"],
            input_schema=InputSchema(columns=[]),
        )
        backend.objects.put(backend.keys.model_version(name, version), to_json(record))


@pytest.fixture
def there(memory_backend: Backend) -> Backend:
    keep_model(memory_backend, "iris", 1, 2)
    return memory_backend
