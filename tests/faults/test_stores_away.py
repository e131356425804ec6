"""Stores that are away for a while: everything waits and says so, nothing fails for that reason."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from chaos_lab.proxy import GONE, Proxy

from fitq import runs
from fitq.backend import open_backend
from fitq.errors import Unavailable
from fitq.local.objects import EmbeddedObjects
from fitq.local.redis import EmbeddedRedis
from fitq.records import RunStatus
from fitq.settings import Settings
from fitq.store import patience
from tests.conftest import ROOT, Servers, eventually, settings_for
from tests.faults.conftest import Field
from tests.test_execute import Bench

GOES_ON = """
import os, time
print("going", flush=True)
open("outputs/result.txt", "w").write("kept")
while not os.path.exists({gate!r}): time.sleep(0.05)
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Servers, Field]]:
    """Servers that only this test uses, so that it may stop them."""
    access_key, secret_key = "own-key", secrets.token_hex(16)
    redis = EmbeddedRedis(tmp_path / "redis")
    objects = EmbeddedObjects(tmp_path / "objects", access_key, secret_key)
    servers = Servers(redis, objects, access_key, secret_key)
    with redis, objects:
        settings = settings_for(servers)
        backend = open_backend(settings)
        backend.objects.ensure_bucket()
        field = Field(backend, settings, tmp_path)
        yield servers, field
        for server in (redis, objects):
            if not server.process.is_running:
                server.start()
        field.end()


def said(folder: Path, worker: int = 0) -> str:
    return (folder / f"worker{worker}.log").read_text()


def test_a_worker_waits_for_redis_and_says_so(own: tuple[Servers, Field], tmp_path: Path) -> None:
    servers, field = own
    servers.redis.stop()
    worker = field.start_worker()
    eventually(lambda: "store_unavailable" in said(tmp_path), what="the worker says that it waits")
    assert worker.poll() is None
    servers.redis.start()
    run = field.submit("print('ran')")
    field.wait_until(run, RunStatus.COMPLETED)


def test_a_run_goes_on_while_redis_is_away(own: tuple[Servers, Field], tmp_path: Path) -> None:
    servers, field = own
    gate = tmp_path / "gate"
    field.start_scheduler()
    field.start_worker()
    run = field.submit(GOES_ON.format(gate=str(gate)))
    eventually(lambda: "going" in field.log(run))
    servers.redis.stop()
    gate.touch()
    eventually(lambda: "store_unavailable" in said(tmp_path), what="the worker says that it waits")
    servers.redis.start()
    ended = field.wait_until(run, RunStatus.COMPLETED)
    assert ended.attempt == 1


def test_a_run_waits_for_the_object_store_to_keep_its_outputs(
    own: tuple[Servers, Field], tmp_path: Path
) -> None:
    servers, field = own
    gate = tmp_path / "gate"
    field.start_scheduler()
    field.start_worker()
    run = field.submit(GOES_ON.format(gate=str(gate)))
    eventually(lambda: "going" in field.log(run))
    servers.objects.stop()
    gate.touch()
    eventually(lambda: "keep outputs/result.txt" in said(tmp_path), what="the worker says what it waits for")
    assert field.backend.state.get_run(run.id).status is RunStatus.FINALIZING  # type: ignore[union-attr]
    with pytest.raises(Unavailable):
        field.submit("print('refused, and not accepted')")
    servers.objects.start()
    ended = field.wait_until(run, RunStatus.COMPLETED, seconds=60)
    assert ended.attempt == 1
    assert field.backend.state.count_runs() == 1


def test_a_run_whose_outputs_could_not_be_kept_waits_and_is_executed_again(
    bench: Bench, proxied: tuple[Proxy, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "RUN_SECONDS", 0.3)
    proxy, _ = proxied
    gate = tmp_path / "gate"
    run, executing = bench.start(GOES_ON.format(gate=str(gate)))
    eventually(lambda: "going" in bench.log(run))
    with proxy.during(GONE):
        gate.touch()
        executing.join(60)
        given_up = bench.backend.state.get_run(run.id)
    assert given_up is not None
    assert (given_up.status, given_up.attempt, given_up.losses) == (RunStatus.QUEUED, 1, 0)
    assert "object store" in given_up.timeline[-1].reason
    bench.executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2)
    assert bench.files(ended) == ["outputs/result.txt", "user_logs/std_log.txt"]


def test_a_worker_that_waits_for_redis_stops_when_told(own: tuple[Servers, Field], tmp_path: Path) -> None:
    servers, field = own
    servers.redis.stop()
    worker = field.start_worker()
    eventually(lambda: "store_unavailable" in said(tmp_path), what="the worker says that it waits")
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_worker_that_lost_redis_stops_when_told(own: tuple[Servers, Field], tmp_path: Path) -> None:
    servers, field = own
    worker = field.start_worker()
    eventually(lambda: "worker_ready" in said(tmp_path))
    run = field.submit(GOES_ON.format(gate=str(tmp_path / "never")))
    eventually(lambda: "going" in field.log(run))
    servers.redis.stop()
    worker.terminate()
    assert worker.wait(60) == 0
    assert not field.processes_of(run)


def live(program: str, heartbeat: Path) -> bool:
    """What the kubelet would find, by the probe as it is written."""
    written = next(yaml.safe_load_all((ROOT / f"infra/kubernetes/base/{program}.yaml").read_text()))
    (container,) = written["spec"]["template"]["spec"]["containers"]
    python, *words = container["livenessProbe"]["exec"]["command"]
    assert python == "python"
    told = {"FITQ_HEARTBEAT": str(heartbeat)}
    return (
        subprocess.run([sys.executable, *words], env=told, capture_output=True, check=False).returncode == 0
    )


def age(heartbeat: Path) -> None:
    os.utime(heartbeat, (0, 0))


def test_without_redis_a_worker_stays_live_and_one_that_hangs_does_not(
    own: tuple[Servers, Field], tmp_path: Path
) -> None:
    servers, field = own
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    age(heartbeat)  # of a container before this one
    worker = field.start_worker(heartbeat=str(heartbeat))
    eventually(lambda: "worker_ready" in said(tmp_path))
    servers.redis.stop()
    eventually(lambda: "report_failed" in said(tmp_path) or "store_unavailable" in said(tmp_path))
    age(heartbeat)
    eventually(lambda: heartbeat.stat().st_mtime, what="a sign of life without Redis")
    assert live("worker", heartbeat)
    worker.send_signal(signal.SIGSTOP)
    eventually(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
    age(heartbeat)
    assert not live("worker", heartbeat)


def test_without_any_store_a_scheduler_is_live(tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    nothing = Settings(
        redis_url="redis://127.0.0.1:1/0",
        s3_url="http://127.0.0.1:1",
        heartbeat=str(heartbeat),
        lease_seconds=1,
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
    with (tmp_path / "scheduler.log").open("wb") as log:
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "fitq", "scheduler"],
            env={**inherited, **nothing.to_environment()},
            stderr=log,
        )
    try:
        eventually(lambda: "round_skipped" in (tmp_path / "scheduler.log").read_text())
        age(heartbeat)
        eventually(lambda: heartbeat.stat().st_mtime, what="a sign of life without any store")
        assert live("scheduler", heartbeat)
    finally:
        scheduler.kill()
        scheduler.wait()
