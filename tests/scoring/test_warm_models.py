"""Models that are there before the first request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fitq.errors import InvalidRequest
from fitq.scoring.app import create_app
from fitq.scoring.peers import Peers
from fitq.scoring.warm import wanted
from fitq.scoring.watch import Watch
from fitq.settings import Settings
from fitq.store.memory import MemoryObjects
from tests.conftest import eventually
from tests.scoring.conftest import TOKEN, Scoring
from tests.scoring.test_faults import _Away

ROWS = [[5.1, 3.5, 1.4, 0.2]]


def test_ready_is_said_when_the_list_is_loaded_and_not_before(tmp_path: Path, iris: Any) -> None:
    """While the store is away it waits; a model that does not exist keeps nobody waiting."""
    kept = MemoryObjects()
    objects: Any = _Away(kept)
    objects.is_away = True
    settings = Settings(token=TOKEN, warm_models="iris, iris:1 ,unknown:champion")
    app = create_app(settings, objects, Peers(tmp_path))
    with TestClient(app, raise_server_exceptions=False) as client:
        scoring = Scoring(client, kept, tmp_path)
        scoring.register("iris", iris)
        told = client.get("/readyz")
        assert told.status_code == 503
        assert told.json()["warm"] == dict.fromkeys(("iris:latest", "iris:1", "unknown:champion"), "waiting")
        objects.is_away = False
        told = eventually(lambda: client.get("/readyz") if client.get("/readyz").status_code == 200 else None)
        assert told.json()["warm"]["iris:latest"] == told.json()["warm"]["iris:1"] == "loaded"
        assert "unknown" in told.json()["warm"]["unknown:champion"]
        answer = scoring.post("/models/iris/score", {"data": ROWS})
        assert answer.status_code == 200
        assert "x-cold-start-ms" not in answer.headers


def test_models_that_nobody_asks_leave_memory_and_those_of_the_list_stay(tmp_path: Path, iris: Any) -> None:
    kept = MemoryObjects()
    objects: Any = _Away(kept)
    objects.is_away = True
    settings = Settings(token=TOKEN, warm_models="kept", scorer_idle_seconds=0.2)
    with TestClient(create_app(settings, objects, Peers(tmp_path)), raise_server_exceptions=False) as client:
        scoring = Scoring(client, kept, tmp_path)
        for name in ("kept", "bored"):
            scoring.register(name, iris)
        objects.is_away = False
        answers = scoring.score("bored", ROWS)
        scorer = scoring.service.scorer
        process = scorer.pid
        eventually(lambda: scorer.loaded_bytes.keys() == {"kept:1"}, what="only the one of the list")
        again = eventually(lambda: scoring.cold("bored", ROWS))
        assert (again.json(), scorer.pid) == (answers, process)
        assert float(again.headers["x-cold-start-ms"]) > 0
        assert "x-cold-start-ms" not in scoring.post("/models/kept/score", {"data": ROWS}).headers


def test_what_is_kept_is_in_use_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(key: str) -> str:
        return key

    watch: Watch[str, str] = Watch(look)
    watch.keep("kept")
    asyncio.run(watch.get("kept"))
    asyncio.run(watch.get("asked"))
    monkeypatch.setattr("fitq.scoring.watch.IDLE_SECONDS", -1.0)
    assert watch.in_use() == watch.longest_unseen(5) == ["kept"]
    assert watch.hot("kept") == "kept"
    assert watch.hot("asked") is None


@pytest.mark.parametrize("text", ["../x", "iris:no such alias!", ":1"])
def test_a_list_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        wanted(text)
