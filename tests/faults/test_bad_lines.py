"""Stores behind a line that delays, cuts and loses: nothing is half done, nothing fails for that."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from chaos_lab.proxy import (
    BROKEN,
    DEAF,
    FORBIDDEN,
    FORGETFUL,
    GONE,
    HALVES,
    SLOW,
    SLOW_DOWN,
    Fault,
    Proxy,
    some,
)
from starlette.testclient import TestClient

from fitq import claims, final_records, runs, submission
from fitq.api.app import create_app
from fitq.backend import Backend, open_backend
from fitq.errors import Unavailable
from fitq.records import RunStatus
from fitq.settings import Settings
from tests.conftest import Servers, eventually
from tests.faults.conftest import LEASE_SECONDS, Field

GATED = """
import os, time
print("going", flush=True)
open("outputs/result.txt", "w").write("kept" * 10_000)
while not os.path.exists({gate!r}): time.sleep(0.05)
"""


@dataclasses.dataclass(frozen=True)
class Lines:
    """The proxies, and a platform that goes through them."""

    to_redis: Proxy
    to_objects: Proxy
    settings: Settings
    backend: Backend


@pytest.fixture
def lines(settings: Settings, backend: Backend) -> Iterator[Lines]:
    ports = urlsplit(settings.redis_url).port or 0, urlsplit(settings.s3_url).port or 0
    with Proxy(ports[0]) as to_redis, Proxy(ports[1]) as to_objects:
        told = dataclasses.replace(
            settings,
            redis_url=settings.redis_url.replace(f":{ports[0]}/", f":{to_redis.port}/"),
            s3_url=f"http://127.0.0.1:{to_objects.port}",
        )
        yield Lines(to_redis, to_objects, told, open_backend(told))


@pytest.fixture
def shaky(lines: Lines, field: Field) -> Field:
    """Its workers go through the proxies; what the test looks at goes straight."""
    field.settings = dataclasses.replace(
        field.settings, redis_url=lines.settings.redis_url, s3_url=lines.settings.s3_url
    )
    return field


def accepted(backend: Backend) -> int:
    return len(list(backend.objects.list(backend.keys.open_runs())))


@pytest.mark.parametrize(
    ("which", "fault"),
    [("redis", GONE), ("redis", FORGETFUL)]
    + [("objects", fault) for fault in (GONE, SLOW_DOWN, BROKEN, FORBIDDEN)],
)
def test_a_submit_that_meets_a_bad_line_is_503_and_one_run_when_sent_again(
    lines: Lines, field: Field, which: str, fault: Fault
) -> None:
    request = field.request("print('ran')")
    proxy = lines.to_redis if which == "redis" else lines.to_objects
    with proxy.during(fault), pytest.raises(Unavailable):
        submission.submit(lines.backend, request, idempotency_key="k")
    if which == "objects":
        assert accepted(field.backend) == field.backend.state.count_runs() == 0
    run = submission.submit(lines.backend, request, idempotency_key="k")
    assert [r.id for r in field.backend.state.list_runs()] == [run.id]
    assert accepted(field.backend) == 1


def test_the_answer_is_503_with_the_one_body_and_when_to_come_back(lines: Lines) -> None:
    app = create_app(lines.backend, lines.settings)
    with TestClient(app, base_url="http://127.0.0.1:8700", raise_server_exceptions=False) as api:
        api.headers["authorization"] = f"Bearer {lines.settings.token}"
        with lines.to_redis.during(GONE):
            for path in ("/v1/runs", "/v1/runs/iris-1", "/v1/pools", "/readyz"):
                answer = api.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
                assert int(answer.headers["retry-after"]) > 0
        assert api.get("/v1/runs").json()["runs"] == []


def test_a_redis_that_never_answers_is_not_asked_three_times(lines: Lines) -> None:
    """Packets that vanish say nothing: whoever waits for one answer has waited for all of them."""
    app = create_app(lines.backend, lines.settings)
    with TestClient(app, base_url="http://127.0.0.1:8700", raise_server_exceptions=False) as api:
        api.headers["authorization"] = f"Bearer {lines.settings.token}"
        began = time.monotonic()
        with lines.to_redis.during(DEAF):
            answer = api.get("/v1/runs")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert time.monotonic() - began < 8, "one time-out is 3 s"
        assert api.get("/v1/runs").json()["runs"] == []


def test_a_slow_redis_is_waited_for(lines: Lines, field: Field) -> None:
    with lines.to_redis.during(dataclasses.replace(SLOW, seconds=0.2)):
        run = submission.submit(lines.backend, field.request("print('ran')"))
    assert field.find(run).status is RunStatus.QUEUED


@pytest.mark.parametrize(
    ("setting", "value"), [("maxmemory", "1"), ("min-replicas-to-write", "1")], ids=["full", "read-only"]
)
def test_a_redis_that_takes_no_writes_leaves_nothing_half_written(
    field: Field, servers: Servers, setting: str, value: str
) -> None:
    request = field.request("print('ran')")
    with redis.Redis.from_url(servers.redis.url) as client:
        client.config_set(setting, value)
        try:
            with pytest.raises(Unavailable, match="Redis"):
                submission.submit(field.backend, request)
            assert accepted(field.backend) == field.backend.state.count_runs() == 0
        finally:
            client.config_set(setting, "0")
    assert submission.submit(field.backend, request).status is RunStatus.QUEUED


def test_a_run_ends_in_its_first_attempt_although_both_lines_are_bad(
    shaky: Field, lines: Lines, tmp_path: Path
) -> None:
    """Answers of the object store fail, break off or get lost while the run is prepared and kept; then
    those of Redis. No attempt is lost, because the worker's lease is renewed in between."""
    gates = [tmp_path / f"gate{n}" for n in range(2)]
    shaky.start_scheduler()
    shaky.start_worker(warm_start=0, lease_seconds=20.0)
    first = shaky.submit(GATED.format(gate=str(gates[0])))
    eventually(lambda: "going" in shaky.log(first))
    for fault in (some(BROKEN, 0.4), some(FORGETFUL, 0.4), some(HALVES, 0.4), some(FORBIDDEN, 0.4)):
        lines.to_objects.fault = fault
        gates[0].touch()
        second = shaky.submit(GATED.format(gate=str(gates[0])))
        shaky.wait_until(second, RunStatus.COMPLETED, seconds=90)
        assert shaky.find(second).attempt == 1
    assert lines.to_objects.hits > 0
    lines.to_objects.fault = None
    assert shaky.wait_until(first, RunStatus.COMPLETED).attempt == 1
    third = shaky.submit(GATED.format(gate=str(gates[1])))
    eventually(lambda: "going" in shaky.log(third), seconds=60)
    with lines.to_redis.during(some(FORGETFUL, 0.3)):
        gates[1].touch()
        ended = shaky.wait_until(third, RunStatus.COMPLETED, seconds=90)
    assert ended.attempt == 1
    assert shaky.log(third) == "going\n"


def test_listings_that_take_for_ever_keep_nobody_waiting(lines: Lines, field: Field) -> None:
    """Only filling Redis again and sweeping list all runs; to submit, to read and to take over is without."""
    ended = submission.submit(field.backend, field.request("print('ended')"))
    held = claims.claim(field.backend, ended.id, "w", LEASE_SECONDS)
    assert held is not None
    final_records.finish(field.backend, held, RunStatus.FAILED)
    lost = submission.submit(field.backend, field.request("print('lost')"))
    assert claims.claim(field.backend, lost.id, "gone", LEASE_SECONDS) is not None
    lines.to_objects.fault = dataclasses.replace(DEAF, containing=b"list-type=2")
    field.start_scheduler(lines.backend)
    eventually(lambda: lines.to_objects.hits > 0, what="the bucket is listed")
    field.wait_until(lost, RunStatus.QUEUED)
    new = submission.submit(lines.backend, field.request("print('new')"))
    assert {r.id for r in lines.backend.state.list_runs()} == {ended.id, lost.id, new.id}
    assert runs.read_log(lines.backend, ended.id).data == b""
    assert not lines.backend.state.is_whole()


def test_a_final_record_whose_answer_was_lost_is_recognised(
    shaky: Field, lines: Lines, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    shaky.start_worker(warm_start=0)
    run = shaky.submit(GATED.format(gate=str(gate)))
    eventually(lambda: "going" in shaky.log(run))
    lines.to_objects.fault = dataclasses.replace(FORGETFUL, containing=b"/final.json")
    gate.touch()
    eventually(lambda: lines.to_objects.hits > 0, what="the final record is put")
    lines.to_objects.fault = None
    ended = shaky.wait_until(run, RunStatus.COMPLETED)
    assert ended.attempt == 1
    eventually(lambda: accepted(shaky.backend) == 0, what="its marker is gone")
