"""What hot requests never wait for, and what is never old."""

from __future__ import annotations

import asyncio

import pytest

from fitq.errors import NotFound, Unavailable
from fitq.scoring.watch import Current, Watch


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
        await watch.refresh()
        assert await watch.get("x") == 2
        store.value = Unavailable()
        await watch.refresh()
        assert await watch.get("x") == 2
        store.value = NotFound()
        await watch.refresh()
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
