"""Which bounds a pool has after a start: those of the options, or what was said since."""

from __future__ import annotations

import pytest

from fitq import pools
from fitq.backend import Backend
from fitq.local.bounds import first_workers, settle, words
from fitq.local.scaling import Workers, most_workers
from fitq.records import PoolSettings

RANGE = {"cpu": Workers(0, 4)}


def started(
    backend: Backend, given: dict[str, int | Workers], before: dict[str, str] | None = None
) -> dict[str, str]:
    """A start; what it leaves for the next one."""
    settle(backend, given, 60, before)
    return words(given, 60)


def bounds(backend: Backend) -> tuple[int, int | None] | None:
    kept, _ = pools.kept_settings(backend, "cpu")
    return None if kept is None else (kept.min_workers, kept.max_workers)


def test_bounds_of_the_options_hold_from_the_first_start(memory_backend: Backend) -> None:
    started(memory_backend, {**RANGE})
    assert pools.find_pool(memory_backend, "cpu").max_workers == 4
    assert pools.find_pool(memory_backend, "cpu").idle_seconds == 60


def test_what_was_said_since_outlives_a_restart_with_the_same_options(memory_backend: Backend) -> None:
    said = PoolSettings(min_workers=1, max_workers=9, idle_seconds=7, secrets=["A"])
    before = started(memory_backend, {**RANGE})
    pools.configure(memory_backend, "cpu", said)
    assert settle(memory_backend, RANGE, 60, before) == {"cpu": said}
    assert pools.kept_settings(memory_backend, "cpu")[0] == said


@pytest.mark.parametrize(
    ("given", "expected"), [(Workers(0, 2), (0, 2)), (2, (2, 2))], ids=["other bounds", "a number"]
)
def test_options_that_changed_are_the_newer_word(
    memory_backend: Backend, given: int | Workers, expected: tuple[int, int]
) -> None:
    before = started(memory_backend, {**RANGE})
    pools.configure(memory_backend, "cpu", PoolSettings(min_workers=1, max_workers=9, secrets=["A"]))
    started(memory_backend, {"cpu": given}, before)
    assert bounds(memory_backend) == expected
    assert pools.find_pool(memory_backend, "cpu").secrets == ["A"], "they say nothing of secrets"


def test_a_pool_that_the_options_name_for_the_first_time_is_named_newly(memory_backend: Backend) -> None:
    pools.configure(memory_backend, "cpu", PoolSettings(min_workers=1, max_workers=9))
    started(memory_backend, {**RANGE}, {"default": "1"})
    assert bounds(memory_backend) == (0, 4)


def test_a_folder_of_which_no_start_is_known_keeps_what_is_there(memory_backend: Backend) -> None:
    """It may have been restored from a backup."""
    pools.configure(memory_backend, "cpu", PoolSettings(min_workers=1, max_workers=9))
    started(memory_backend, {**RANGE}, None)
    assert bounds(memory_backend) == (1, 9)


def test_a_plain_number_leaves_no_bounds_and_takes_none_that_nobody_gave(memory_backend: Backend) -> None:
    before = started(memory_backend, {"cpu": 2})
    assert bounds(memory_backend) is None
    pools.configure(memory_backend, "cpu", PoolSettings(secrets=["A"]))
    started(memory_backend, {"cpu": 3}, before)
    assert bounds(memory_backend) == (0, None)


@pytest.mark.parametrize(
    ("given", "settings", "has_functions", "first"),
    [
        (2, None, True, 2),
        (2, PoolSettings(secrets=["A"]), True, 2),
        (1, PoolSettings(min_workers=3, max_workers=3), False, 3),
        (2, PoolSettings(min_workers=0, max_workers=0), True, 0),
        (Workers(0, 4), PoolSettings(max_workers=4), False, 0),
        (Workers(0, 4), PoolSettings(max_workers=4), True, 1),
        (Workers(2, 4), PoolSettings(min_workers=2, max_workers=4), True, 2),
        (1, PoolSettings(min_workers=9999, max_workers=9999), False, most_workers()),
    ],
)
def test_a_pool_starts_with_what_holds_for_it(
    given: int | Workers, settings: PoolSettings | None, has_functions: bool, first: int
) -> None:
    assert first_workers(given, settings, has_functions=has_functions) == first
