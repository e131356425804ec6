"""Stores that take connections and never answer: readiness says so in seconds, and the programs live on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from chaos_lab.proxy import DEAF, GONE, Fault, Proxy

from fitq.settings import Settings
from tests.conftest import eventually
from tests.faults.test_connections import BODIES, ROUTES
from tests.faults.web import Web, running
from tests.scoring.conftest import looked_into, saved
from tests.scoring.keeping import keep

SCORE, BODY = ROUTES["scoring"], BODIES["scoring"]


@dataclasses.dataclass(frozen=True)
class Behind:
    """Programs behind proxies, and those."""

    api: Web
    scoring: Web
    redis: Proxy
    objects: Proxy


@pytest.fixture(scope="module")
def behind(strict: Settings, iris: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("deaf")
    (folder / "iris.joblib").write_bytes(saved(iris))
    for name in ("warm", "cold"):
        keep(strict, name, iris, looked_into(folder / "iris.joblib", None))
    redis_port, objects_port = (urlsplit(url).port or 0 for url in (strict.redis_url, strict.s3_url))
    with Proxy(redis_port) as redis, Proxy(objects_port) as objects:
        settings = dataclasses.replace(
            strict,
            redis_url=strict.redis_url.replace(f":{redis_port}", f":{redis.port}"),
            s3_url=f"http://127.0.0.1:{objects.port}",
        )
        webs = [Web(settings, folder / p, p) for p in ("api", "scoring")]
        with running(*webs):
            yield Behind(*webs, redis, objects)


@pytest.mark.parametrize("store", ["redis", "objects"])
def test_the_api_says_within_seconds_that_a_store_is_deaf(behind: Behind, store: str) -> None:
    with getattr(behind, store).during(DEAF):
        answer = behind.api.get("/readyz", seconds=15)
        assert answer.status_code == 503
        assert store in answer.json()["away"]
        assert answer.headers["retry-after"]
        assert behind.api.get("/healthz", seconds=15).status_code == 200
    eventually(lambda: behind.api.answers, seconds=60, what="it is ready again")


@pytest.mark.parametrize("fault", [DEAF, GONE], ids=["deaf", "gone"])
def test_without_the_object_store_what_is_loaded_answers_and_the_rest_is_told_to_wait(
    behind: Behind, fault: Fault
) -> None:
    scoring = behind.scoring
    if fault is DEAF:
        with behind.objects.during(fault):
            assert scoring.get("/readyz", seconds=15).status_code == 503, "it has nothing yet"
    assert scoring.post("/models/warm/score", BODY).status_code == 200
    with behind.objects.during(fault):
        assert scoring.get("/readyz", seconds=15).status_code == 200, "it can answer for what it has"
        assert scoring.get("/readyz", seconds=15).json()["objects"] != "ok"
        assert scoring.get("/healthz", seconds=15).status_code == 200
        for _ in range(20):
            assert scoring.post("/models/warm/score", BODY).status_code == 200
        cold = scoring.post("/models/cold/score", BODY, **{"x-fitq-timeout-ms": "1000"})
        assert cold.status_code == 503
        assert int(cold.headers["retry-after"]) >= 1
        assert {"message", "code", "hint", "request_id"} <= cold.json().keys()
    eventually(lambda: scoring.get("/readyz").json()["objects"] == "ok", seconds=60)
    assert scoring.post("/models/warm/score", BODY).status_code == 200
