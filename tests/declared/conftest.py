"""A workspace in memory with two versions of a model."""

from __future__ import annotations

import pytest

from fitq.backend import Backend
from tests.conftest import keep_model


@pytest.fixture
def there(memory_backend: Backend) -> Backend:
    keep_model(memory_backend, "iris", 1, 2)
    return memory_backend
