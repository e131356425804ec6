"""A pool from zero, with real processes: forty runs, up to four workers, and back to none."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitq.local.scaling import Workers, process_of
from fitq.local.stack import Stack
from fitq.records import RunRecord, RunRequest, RunStatus
from fitq.sdk.client import Client
from tests.conftest import eventually

RUNS, MOST = 40, 4
CODE = """
import time
from pathlib import Path
from fitq import RunContext, function

@function
def nap(run: RunContext, gate: str = "") -> None:
    while gate and not Path(gate).exists():
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform whose pool follows its queue, watched as `fitq up` does."""
    folder = tmp_path_factory.mktemp("scaling")
    (folder / "functions").mkdir()
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o777)  # where tests and runs meet
    (folder / "functions" / "nap.py").write_text(CODE)
    stopping = threading.Event()
    with Stack(
        folder / ".fitq",
        functions=folder / "functions",
        pools={"default": Workers(0, MOST)},
        idle_seconds=1,
        api_port=0,
        scoring_port=0,
        environment={**os.environ, "FITQ_RUN_PATHS": str(folder / "shared")},
    ) as stack:
        ended = threading.Event()

        def watch() -> None:
            stack.watch(stopping)
            ended.wait()  # the kernel ends the workers when the thread that started them ends

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        yield stack
        stopping.set()
    ended.set()


@pytest.mark.timeout(600)
def test_forty_runs_from_zero_to_four_workers_and_back(stack: Stack) -> None:
    with Client(stack.settings.url, stack.settings.token) as client:
        eventually(
            lambda: client.get_pool("default").workers == 0, seconds=150, what="the pool being at zero"
        )
        assert "nap" in {f.name for f in client.functions()}, "known although nobody is there"
        gate = Path(stack.settings.run_paths) / "forty"
        held = [submit(client, gate=str(gate)) for _ in range(MOST)]
        assert held[0].timeline[0].reason == "waiting for a worker to start"
        submitted = [*held, *(submit(client) for _ in range(RUNS - MOST))]
        eventually(lambda: running(client) == MOST, seconds=150, what="four workers being busy")
        eventually(lambda: client.get_pool("default").workers == MOST, what="four having reported")
        assert client.get_pool("default").demand == RUNS
        gate.touch()
        eventually(lambda: client.get_pool("default").demand == 0, seconds=150, what="all runs being over")
        ended = [client.get_run(run.id) for run in submitted]
        assert {run.status for run in ended} == {RunStatus.COMPLETED}
        assert {run.attempt for run in ended} == {1}, "no run was handed back for a worker to leave"
        eventually(lambda: client.get_pool("default").workers == 0, seconds=150, what="the pool being empty")
        eventually(
            lambda: not [p for p in stack.programs if p.pool], seconds=150, what="their processes being gone"
        )


@pytest.mark.timeout(600)
def test_a_worker_that_is_asked_to_leave_finishes_its_run_first(stack: Stack) -> None:
    with Client(stack.settings.url, stack.settings.token) as client:
        gate = Path(stack.settings.run_paths) / "one"
        run = submit(client, gate=str(gate))
        eventually(lambda: running(client) == 1, seconds=150, what="the run being under way")
        holder = process_of(client.get_run(run.id).worker)
        (worker,) = [p for p in stack.programs if p.process.pid == holder]
        worker.retire()
        eventually(
            lambda: "worker_leaving" in worker.process.log.read_text(),
            seconds=150,
            what="the worker being told",
        )
        assert client.get_run(run.id).status is RunStatus.RUNNING
        gate.touch()
        eventually(
            lambda: client.get_run(run.id).status is RunStatus.COMPLETED,
            seconds=150,
            what="the run being over",
        )
        eventually(lambda: worker.process.exit_code == 0, seconds=150, what="the worker being gone")
        assert client.get_run(run.id).attempt == 1


def submit(client: Client, **parameters: str) -> RunRecord:
    return client.submit_run(RunRequest(function="nap", parameters=dict(parameters)))


def running(client: Client) -> int:
    return len([r for r in client.list_runs(limit=100).runs if r.status is RunStatus.RUNNING])
