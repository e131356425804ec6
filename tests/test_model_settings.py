"""What is said of a model: of several who say something at once, nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound, Outdated
from fitq.model_settings import configure, find_alias, kept_settings, remove_alias, set_alias
from fitq.records import ModelSettings
from tests.conftest import keep_model


@pytest.fixture
def there(memory_backend: Backend) -> Backend:
    keep_model(memory_backend, "iris", 1, 2)
    return memory_backend


def test_of_many_aliases_that_are_moved_at_once_none_is_lost(backend: Backend) -> None:
    keep_model(backend, "iris", 1, 2)
    names = [f"a{n}" for n in range(12)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: set_alias(backend, "iris", name, 1), names))
        list(threads.map(lambda name: remove_alias(backend, "iris", name), names[:6]))
    assert backend.catalog.aliases("iris") == dict.fromkeys(names[6:], 1)


def test_an_alias_is_moved_only_over_what_was_read(there: Backend) -> None:
    set_alias(there, "iris", "prod", 1, expected="")
    version, read = find_alias(there, "iris", "prod")
    assert version == 1
    set_alias(there, "iris", "other", 2)  # another alias is nobody else's business
    set_alias(there, "iris", "prod", 2, expected=read)
    for late in (
        lambda: set_alias(there, "iris", "prod", 1, expected=read),
        lambda: set_alias(there, "iris", "prod", 1, expected=""),
        lambda: remove_alias(there, "iris", "prod", expected=read),
    ):
        with pytest.raises(Outdated):
            late()
    assert there.catalog.aliases("iris") == {"prod": 2, "other": 2}


def test_all_that_is_said_is_replaced_only_over_what_was_read(there: Backend) -> None:
    _, read = kept_settings(there, "iris")
    configure(there, "iris", ModelSettings(description="a"), expected=read)
    with pytest.raises(Outdated):
        configure(there, "iris", ModelSettings(description="b"), expected=read)
    assert there.catalog.about("iris").description == "a"


def test_an_alias_means_a_version_that_is_there(there: Backend) -> None:
    for alias, version, wrong in (("prod", 9, NotFound), ("latest", 1, InvalidRequest)):
        with pytest.raises(wrong):
            set_alias(there, "iris", alias, version)
    with pytest.raises(NotFound, match="It has: none"):
        find_alias(there, "iris", "prod")
