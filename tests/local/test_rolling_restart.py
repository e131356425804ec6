"""Every program of a platform is restarted, one after the other, while people submit and score."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fitq.local.program import Program
from fitq.local.stack import Stack
from fitq.records import RegisterRequest, RunRequest, RunStatus
from fitq.sdk.client import Client
from tests.conftest import eventually

CODE = """
import joblib
from fitq import RunContext, function
from sklearn.linear_model import LinearRegression

@function
def times(run: RunContext, factor: int = 1) -> None:
    rows = [[float(n)] for n in range(8)]
    model = LinearRegression().fit(rows, [factor * row[0] for row in rows])
    run.log("factor", factor)
    joblib.dump(model, run.outputs / "model.joblib")
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "times.py").write_text(CODE)
    stopping, ended = threading.Event(), threading.Event()
    with Stack(
        tmp_path / ".fitq",
        functions=tmp_path / "functions",
        pools={"default": 1},
        api_port=0,
        scoring_port=0,
        environment={**os.environ},
    ) as stack:

        def watch() -> None:
            stack.watch(stopping)
            ended.wait()  # the kernel ends the programs when the thread that started them ends

        threading.Thread(target=watch, daemon=True).start()
        yield stack
        stopping.set()
    ended.set()


@pytest.mark.timeout(400)
def test_restarting_everything_under_load_loses_nothing(stack: Stack) -> None:
    with Client(stack.settings.url, stack.settings.token, stack.settings.scoring_url) as client:
        model = client.submit_run(RunRequest(function="times", parameters={"factor": 3}))
        eventually(lambda: client.get_run(model.id).status.is_final, seconds=120, what="the first run")
        client.register_model(RegisterRequest(name="times", run=model.id, path="outputs/model.joblib"))
        over = threading.Event()
        with ThreadPoolExecutor(3) as people:
            submitting = people.submit(until, over, lambda n: submit(client, n))
            scoring = [people.submit(until, over, lambda n: score(client, n)) for _ in range(2)]
            try:
                for program in restarted(stack):
                    restart(program)
                    eventually(lambda: client.get_pool("default").workers == 1, seconds=120, what="a worker")
                    assert score(client, 2) == pytest.approx((6.0, 6.0))
            finally:
                over.set()
        scores: list[tuple[float, float]] = [pair for asked in scoring for pair in asked.result()]
        assert len(scores) > 20
        assert all(wanted == pytest.approx(told) for wanted, told in scores)
        check_runs(client, submitting)


def check_runs(client: Client, submitting: Future[list[str]]) -> None:
    """Each accepted run ended once, with what it was asked for."""
    ids = submitting.result()
    assert len(ids) == len(set(ids)) > 5
    eventually(lambda: all(client.get_run(i).status.is_final for i in ids), seconds=120, what="all ends")
    for number, run_id in enumerate(ids):
        run = client.get_run(run_id)
        assert run.status is RunStatus.COMPLETED, run.failure
        assert [entry.status for entry in run.timeline].count(RunStatus.COMPLETED) == 1
        assert [point.value for point in client.metrics(run_id)["factor"]] == [number]


def until(over: threading.Event, step: Callable[[int], object]) -> list[object]:
    """What the steps gave, one after the other, until it is over."""
    given = []
    while not over.wait(0.3):
        given.append(step(len(given)))
    return given


def submit(client: Client, number: int) -> str:
    return client.submit_run(RunRequest(function="times", parameters={"factor": number})).id


def score(client: Client, number: int) -> tuple[float, float]:
    return 3.0 * number, client.score("times", {"data": [[float(number)]]})[0]


def restarted(stack: Stack) -> list[Program]:
    """The programs without the two stores."""
    return [p for p in stack.programs if p.name not in ("valkey", "seaweedfs")]


def restart(program: Program) -> None:
    pid = program.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: program.process.pid not in (pid, None), seconds=60, what=f"{program.name} again")
