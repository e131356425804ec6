"""What was looked up a moment ago and need not be looked up again."""

from __future__ import annotations

import pytest

from fitq import recently
from fitq.recently import Recently


def test_it_is_looked_up_again_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(recently.time, "monotonic", lambda: clock[0])
    found, looks = Recently[str](seconds=5, most=10), []

    def look() -> str:
        looks.append(clock[0])
        return "there"

    for _ in range(3):
        assert found.looked_up("x", look) == "there"
    clock[0] += 6
    assert found.get("x") is None
    assert found.looked_up("x", look) == "there"
    assert looks == [100.0, 106.0]


def test_that_there_was_nothing_is_not_remembered() -> None:
    found = Recently[str](seconds=5, most=10)
    assert found.looked_up("x", lambda: None) is None
    assert found.looked_up("x", lambda: "there") == "there"


def test_the_oldest_are_forgotten_first() -> None:
    found = Recently[int](seconds=5, most=2)
    for n in range(3):
        found.put(str(n), n)
    found.put("1", 1)
    found.put("3", 3)
    assert [found.get(str(n)) for n in range(4)] == [None, 1, None, 3]
