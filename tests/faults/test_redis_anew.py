"""A Redis of its own that is emptied, replaced or made a replica under a platform that goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from fitq import endpoints
from fitq.backend import Backend, open_backend
from fitq.local.home import Home
from fitq.local.redis import EmbeddedRedis
from fitq.records import EndpointRequest, FinalRecord, to_json
from tests.conftest import ROOT, Servers, eventually, settings_for
from tests.faults.conftest import Field
from tests.faults.test_stores_lost import ended_run
from tests.faults.web import Web, running
from tests.scoring.conftest import looked_into, saved
from tests.scoring.keeping import keep

WAITS = """
import os, pathlib, secrets, time
pathlib.Path({marks!r}, os.environ["FITQ_RUN_ID"] + "." + secrets.token_hex(4)).touch()
print("going", flush=True)
while not os.path.exists({gate!r}): time.sleep(0.05)
"""
ROWS = {"data": [[5.1, 3.5, 1.4, 0.2], [6.0, 2.2, 5.0, 1.5]]}
BEING_FILLED = "being filled from the object store"


@dataclasses.dataclass(frozen=True)
class Platform:
    """API, scoring, a worker with one slot and a scheduler; only Redis is theirs alone."""

    redis: EmbeddedRedis
    field: Field
    api: Web
    scoring: Web
    may_read_ends: threading.Event  #: of runs, to list them again

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis.url)

    def submit(self, gate: Path) -> Any:
        """The answer to a run that waits for the gate."""
        marks = gate.with_name("marks")
        marks.mkdir(exist_ok=True)
        marks.chmod(0o777)
        request = self.field.request(WAITS.format(marks=str(marks), gate=str(gate)))
        return self.api.post("/v1/runs", to_json(request))

    def accepted(self, gate: Path) -> str:
        """The id of such a run."""
        answer = self.submit(gate)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def one_going_and_three_queued(self, gate: Path) -> list[str]:
        first = self.accepted(gate)
        eventually(lambda: self.api.get(f"/v1/runs/{first}/logs").text == "going\n", what="it goes on")
        return [first, *(self.accepted(gate) for _ in range(3))]

    def wait_until_completed(self, runs: list[str]) -> list[dict[str, Any]]:
        def ended() -> list[dict[str, Any]]:
            found = [self.api.get(f"/v1/runs/{run}").json() for run in runs]
            return found if all(run["status"] == "Completed" for run in found) else []

        return eventually(ended, seconds=60, what="all are Completed")


def held(backend: Backend, may_read_ends: threading.Event) -> Backend:
    """The same, but ends of runs can be read only when that is set."""
    usual = backend.objects.get

    def get(key: str) -> bytes | None:
        if key.endswith("/final.json"):
            assert may_read_ends.wait(60)
        return usual(key)

    backend.objects.get = get  # type: ignore[method-assign]  # waits, and does the same
    return backend


@pytest.fixture(scope="module")
def platform(servers: Servers, iris: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder, may_read_ends = tmp_path_factory.mktemp("anew"), threading.Event()
    may_read_ends.set()
    with EmbeddedRedis(folder / "redis") as server:
        settings = settings_for(servers, redis_url=server.url)
        backend = open_backend(settings)
        backend.objects.ensure_bucket()
        (folder / "iris.joblib").write_bytes(saved(iris))
        keep(settings, "iris", iris, looked_into(folder / "iris.joblib", None))
        endpoints.deploy(backend, "flowers", EndpointRequest(model="iris", auth="none"))
        field = Field(backend, settings, folder)
        webs = [Web(settings, folder / f"{name}.log", name) for name in ("api", "scoring")]
        try:
            with running(*webs):
                field.start_scheduler(held(open_backend(settings), may_read_ends))
                field.start_worker()
                yield Platform(server, field, *webs, may_read_ends)
        finally:
            may_read_ends.set()
            field.end()


@pytest.fixture
def gate(platform: Platform, request: pytest.FixtureRequest) -> Path:
    """What runs of this test wait for; in a folder that they may use."""
    folder = platform.field.folder / str(request.node.name)
    folder.mkdir(mode=0o755)
    return folder / "gate"


def assert_each_was_executed_once(runs: list[dict[str, Any]], gate: Path) -> None:
    executed = Counter(mark.name.partition(".")[0] for mark in gate.with_name("marks").iterdir())
    assert executed == {run["id"]: 1 for run in runs}
    assert [run["attempt"] for run in runs] == [1] * len(runs)


def test_a_new_and_empty_redis_costs_no_run_and_repeats_none(platform: Platform, gate: Path) -> None:
    runs = platform.one_going_and_three_queued(gate)
    platform.redis.process.kill()
    platform.redis.stop()
    shutil.rmtree(platform.redis.data_dir / "appendonlydir")
    platform.redis.start()
    state = platform.field.backend.state
    eventually(lambda: state.run_ids() >= set(runs), what="all of them are known again")
    gate.touch()
    ended = platform.wait_until_completed(runs)
    assert_each_was_executed_once(ended, gate)


def test_a_redis_that_becomes_a_replica_refuses_runs_and_loses_none(
    platform: Platform, gate: Path, tmp_path: Path
) -> None:
    """It takes over the data of its new master, which has none, and no write until it is a master again."""
    field, runs = platform.field, platform.one_going_and_three_queued(gate)
    markers = [o.key for o in field.backend.objects.list(field.backend.keys.open_runs())]
    with EmbeddedRedis(tmp_path / "master") as master, platform.client as client:
        with redis.Redis.from_url(master.url) as of_master:
            of_master.config_set("repl-diskless-sync-delay", "0")
        client.config_set("masterauth", master.password)
        client.replicaof("127.0.0.1", str(master.port))
        try:
            refused = platform.submit(gate)
            eventually(lambda: client.info("replication")["master_link_status"] == "up", what="it follows")
            assert client.dbsize() == 0
            again = platform.submit(gate)
        finally:
            client.replicaof("NO", "ONE")
    for answer in (refused, again):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert [o.key for o in field.backend.objects.list(field.backend.keys.open_runs())] == markers
    runs.append(platform.accepted(gate))
    eventually(lambda: field.backend.state.run_ids() >= set(runs), what="all of them are known again")
    gate.touch()
    assert_each_was_executed_once(platform.wait_until_completed(runs), gate)


def test_models_and_endpoints_answer_as_before_after_redis_was_emptied(platform: Platform) -> None:
    def seen() -> list[Any]:
        asked = [platform.api.get(path) for path in ("/v1/models", "/v1/endpoints")]
        scored = [
            platform.scoring.post(path, json.dumps(ROWS))
            for path in ("/models/iris/score", "/api/v1/service/flowers/score")
        ]
        assert {answer.status_code for answer in (*asked, *scored)} == {200}
        return [answer.json() for answer in (*asked, *scored)]

    before = seen()
    assert [len(listed) for answer in before[:2] for listed in answer.values() if listed] == [1, 1]
    with platform.client as client:
        client.flushall()
    assert seen() == before


def test_while_redis_is_being_filled_again_everybody_is_told(platform: Platform, tmp_path: Path) -> None:
    backend, ended = platform.field.backend, [ended_run(n) for n in range(3)]
    for run in ended:
        backend.objects.put(backend.keys.final(run.id), to_json(FinalRecord(run=run)))
    with at_home(platform, tmp_path / "home") as home:
        eventually(lambda: redis_of(platform) == "ok", what="it has everything")
        platform.may_read_ends.clear()
        with platform.client as client:
            client.flushall()
        told = eventually(lambda: "0 of" in redis_of(platform) and redis_of(platform), what="it is filled")
        assert BEING_FILLED in told
        assert told in status(home)
        assert json.loads(status(home, "--json"))["redis"] == told
        platform.may_read_ends.set()
        eventually(lambda: redis_of(platform) == "ok", what="it has everything")
        assert BEING_FILLED not in status(home)
    assert backend.state.run_ids() >= {run.id for run in ended}


def redis_of(platform: Platform) -> str:
    return str(platform.api.get("/readyz").json()["redis"])


@contextlib.contextmanager
def at_home(platform: Platform, folder: Path) -> Iterator[Path]:
    """The data folder by which commands of this machine find the platform."""
    home, settings = Home(folder), platform.field.settings
    home.claim()
    home.write_config({"fitq_url": platform.api.url, "fitq_token": settings.token})
    home.write_state({"pid": 1, "url": platform.api.url, "scoring_url": platform.scoring.url, "programs": []})
    yield folder
    home.release()


def status(home: Path, *options: str) -> str:
    """What `fitq status` prints."""
    command = [sys.executable, "-m", "fitq", "status", "--data", str(home), *options]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
