"""What hot requests never wait for, and what is never old."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from fitq.errors import NotFound, Unavailable
from fitq.scoring.follow import SOME, follow_once
from fitq.scoring.watch import Current, Watch
from fitq.store.changes import PERIOD_SECONDS, Changes, note_change
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects


class Store:
    """Answers with its value or error, counts, and can be made to wait."""

    def __init__(self) -> None:
        self.value: object = 1
        self.looks = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def look(self, _: str) -> object:
        self.looks += 1
        value = self.value
        await self.gate.wait()
        if isinstance(value, Exception):
            raise value
        return value


def test_a_hot_value_is_not_looked_up_by_requests_and_follows_the_refresh() -> None:
    async def story() -> None:
        store = Store()
        watch: Watch[str, object] = Watch(store.look)
        assert await watch.get("x") == 1
        store.value = 2
        assert await watch.get("x") == 1
        assert store.looks == 1
        await watch.refresh(["x"])
        assert await watch.get("x") == 2
        store.value = Unavailable()
        await watch.refresh(["x"])
        assert await watch.get("x") == 2
        store.value = NotFound()
        await watch.refresh(["x"])
        with pytest.raises(NotFound):
            await watch.get("x")
        with pytest.raises(NotFound):
            await watch.get("x")
        store.value = 3
        assert await watch.get("x") == 3

    asyncio.run(story())


def test_a_current_value_is_never_older_than_its_request_and_looks_are_shared() -> None:
    async def story() -> None:
        store = Store()
        current: Current[str, object] = Current(store.look)
        assert await current.get("x") == 1
        store.gate.clear()
        early = asyncio.create_task(current.get("x"))
        await asyncio.sleep(0)
        store.value = 2
        late = [asyncio.create_task(current.get("x")) for _ in range(20)]
        await asyncio.sleep(0)
        store.gate.set()
        await early
        assert await asyncio.gather(*late) == [2] * 20
        assert store.looks == 3

    asyncio.run(story())


def test_a_current_value_stands_in_while_the_store_is_away_but_not_when_it_is_gone() -> None:
    async def story() -> None:
        store = Store()
        current: Current[str, object] = Current(store.look)
        store.value = Unavailable()
        with pytest.raises(Unavailable):
            await current.get("x")
        current = Current(store.look)
        store.value = 1
        assert await current.get("x") == 1
        store.value = NotFound()
        with pytest.raises(NotFound):
            await current.get("x")
        store.value = 1
        assert await current.get("x") == 1
        store.value = Unavailable()
        assert await current.get("x") == 1

    asyncio.run(story())


def test_an_older_look_that_ends_later_does_not_bring_back_what_it_saw() -> None:
    async def story() -> None:
        store = Store()
        watch: Watch[str, object] = Watch(store.look)
        assert await watch.get("x") == 1
        store.gate.clear()
        slow = asyncio.create_task(watch.refresh(["x"]))
        await asyncio.sleep(0)
        held, store.gate = store.gate, asyncio.Event()
        store.gate.set()
        store.value = 2
        await watch.refresh(["x"])
        held.set()
        await slow
        assert await watch.get("x") == 2

    asyncio.run(story())


def test_what_was_noted_is_looked_at_at_once_and_the_rest_little_by_little() -> None:
    """Ten thousand models in use cost one listing and a few looks per round, whatever changed."""

    async def story() -> None:
        objects, keys, looked = MemoryObjects(), ObjectKeys("w"), Counter[str]()

        async def look(key: tuple[str, str]) -> Any:
            looked[key[0]] += 1
            return object()

        watch: Watch[tuple[str, str], Any] = Watch(look)
        names = [f"m-{i}" for i in range(10_000)]
        for name in names:
            await watch.get((name, "latest"))
        changes = Changes(objects, keys)
        looked.clear()
        note_change(objects, keys, "m-7000")
        note_change(objects, keys, "unknown")
        await follow_once(watch, changes)
        assert looked["m-7000"] == 1
        assert sum(looked.values()) == 1 + SOME
        await follow_once(watch, changes)
        assert sum(looked.values()) == 1 + 2 * SOME
        rounds = 10_000 // SOME
        for _ in range(rounds):
            await follow_once(watch, changes)
        assert set(looked) == set(names)
        assert max(looked.values()) <= 2

    asyncio.run(story())


def test_notes_are_read_once_also_by_clocks_that_differ_and_do_not_gather() -> None:
    objects, keys = MemoryObjects(), ObjectKeys("w")
    at = 1000 * PERIOD_SECONDS + 1.0
    reader = Changes(objects, keys, clock=lambda: at - 60)  # for it the period before has not ended
    note_change(objects, keys, "iris", clock=lambda: at)
    assert reader.new() == {"iris"}
    assert reader.new() == set()
    note_change(objects, keys, "iris", clock=lambda: at)
    assert reader.new() == {"iris"}
    for _ in range(30):
        note_change(objects, keys, "iris", clock=lambda: at)
    for _ in range(4):
        note_change(objects, keys, "iris", clock=lambda: at + 8 * PERIOD_SECONDS)
    assert len(list(objects.list(keys.changes()))) == 4
