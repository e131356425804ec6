"""An object store, or what lies before it, that sends other bytes than were kept: they are never used."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from chaos_lab.proxy import ALTERING, Fault, Proxy
from starlette.testclient import TestClient

from fitq import runs
from fitq.backend import open_backend
from fitq.records import RunStatus
from fitq.scoring import served
from fitq.scoring.app import create_app
from fitq.scoring.peers import Peers
from fitq.settings import Settings
from fitq.store import patience
from tests.conftest import eventually
from tests.scoring.conftest import looked_into, saved
from tests.scoring.keeping import keep
from tests.test_data import sent
from tests.test_execute import Bench

READS = "import sys; print(open(sys.argv[1]).read())"


def among(kept: str) -> Fault:
    """Answers to whoever asks for what is kept there."""
    return dataclasses.replace(ALTERING, containing=f"/{kept}/".encode())


@pytest.mark.parametrize("kept", ["snapshots", "data-parts", "data"])
def test_a_run_waits_until_what_it_needs_arrives_as_it_was_kept(
    bench: Bench, proxied: tuple[Proxy, Settings], kept: str
) -> None:
    proxy, _ = proxied
    record = sent(bench.backend, "one", is_folder=False, x=b"right")
    run = bench.submit(READS, "${{inputs.one}}", inputs={"one": "one"})
    executing = threading.Thread(target=bench.executor.execute, args=(run.id,))
    with structlog.testing.capture_logs() as lines:
        with proxy.during(among(kept)):
            executing.start()
            eventually(lambda: proxy.hits >= 2, what="it is tried again")
            assert runs.find(bench.backend, run.id).status is RunStatus.PREPARING
            assert list((bench.executor.work_dir / "inputs").glob("*/content")) == []
        executing.join(60)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1)
    assert bench.log(run) == "right\n"
    keys = bench.backend.keys
    altered = {
        "snapshots": keys.snapshot(run.snapshot or ""),
        "data-parts": keys.data_part(record.files[0].parts[0]),
        "data": keys.data_version("one", 1),
    }
    waited = [line for line in lines if line["event"] == "store_unavailable"]
    assert all(altered[kept] in line["error"] for line in waited)
    assert waited


def test_a_run_whose_code_never_arrives_as_it_was_kept_makes_room_for_others(
    bench: Bench, proxied: tuple[Proxy, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, _ = proxied
    monkeypatch.setattr(patience, "RUN_SECONDS", 0.2)
    run = bench.submit("print('ran')")
    with proxy.during(among("snapshots")):
        bench.executor.execute(run.id)
    waiting = runs.find(bench.backend, run.id)
    assert waiting.status is RunStatus.QUEUED
    assert bench.backend.keys.snapshot(run.snapshot or "") in waiting.timeline[-1].reason
    bench.executor.execute(run.id)
    assert runs.find(bench.backend, run.id).status is RunStatus.COMPLETED
    assert bench.log(run) == "ran\n"


def test_a_run_that_waits_for_its_code_is_canceled_at_once(
    bench: Bench, proxied: tuple[Proxy, Settings]
) -> None:
    proxy, _ = proxied
    run = bench.submit("print('ran')")
    executing = threading.Thread(target=bench.executor.execute, args=(run.id,))
    with proxy.during(among("snapshots")):
        executing.start()
        eventually(lambda: proxy.hits)
        runs.cancel(bench.backend, run.id)
        executing.join(20)
    assert runs.find(bench.backend, run.id).status is RunStatus.CANCELED


def test_a_model_answers_rightly_or_not_at_all(
    proxied: tuple[Proxy, Settings], tmp_path: Path, iris: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_RETRY_SECONDS", 0.0)
    proxy, settings = proxied
    backend = open_backend(settings)
    backend.objects.ensure_bucket()
    (tmp_path / "iris.joblib").write_bytes(saved(iris))
    record = keep(settings, "iris", iris, looked_into(tmp_path / "iris.joblib", None))
    rows, cache = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.2, 5.0, 1.5]], tmp_path / "cache"
    cache.mkdir()
    authorized = {"authorization": f"Bearer {settings.token}"}
    with TestClient(create_app(settings, backend.objects, Peers(cache)), headers=authorized) as scoring:
        with proxy.during(among("files")):
            refused = scoring.post("/models/iris/score", json={"data": rows})
        assert refused.status_code == 503
        assert record.object_key in refused.json()["message"]
        assert proxy.hits >= 2, "it was fetched once more before that"
        assert not (cache / record.sha256).exists()
        answer = eventually(lambda: answered(scoring, rows), what="it answers")
        assert np.allclose(answer, iris.predict_proba(rows))


def answered(scoring: TestClient, rows: list[list[float]]) -> Any:
    """What the model answers, once it does."""
    answer = scoring.post("/models/iris/score", json={"data": rows})
    assert answer.status_code in (200, 503)
    return answer.json() if answer.status_code == 200 else None
