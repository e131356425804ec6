"""More requests than can be answered at once: a bounded queue, other models that go on, and counts of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.preprocessing import FunctionTransformer

from fitq.scorer.facts import ModelFacts
from fitq.scoring.batch import AT_ONCE
from tests.conftest import eventually
from tests.scoring.conftest import Scoring, assert_explained, assert_one_error_shape, running, saved
from tests.scoring.test_faults import expression

ROWS = [[5.1, 3.5, 1.4, 0.2]]
WAITING = 20


class Gate:
    """Lets calls of a model end, each for one byte in a pipe; asks for more of them beside."""

    def __init__(self, scoring: Scoring, like: Any, name: str, answer: str, batching: str) -> None:
        path = scoring.service.files.folder / name  # where a child may read
        os.mkfifo(path)
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.scoring, self.name = scoring, name
        text = f"(open({str(path)!r}, 'rb', buffering=0).read(1), {answer})[1]"
        facts = ModelFacts(methods=["transform"], default_method="transform", input_schema=like.input_schema)
        scoring.keep(name, saved(expression(text)), facts)
        self.let_pass(64)
        scoring.score(name, ROWS)
        eventually(lambda: scoring.get(f"/models/{name}").json()["batching"] == {"transform": batching})
        self.unused()

    def let_pass(self, calls: int) -> None:
        os.write(self._pipe, b"." * calls)

    def unused(self) -> int:
        """How many calls that may end there were not; they may no longer."""
        with contextlib.suppress(BlockingIOError):
            return len(os.read(self._pipe, 1000))
        return 0

    @property
    def waiting(self) -> int:
        found: int = self.scoring.get(f"/models/{self.name}").json()["queue"]["waiting"]
        return found

    @contextlib.contextmanager
    def flooded(self, count: int) -> Iterator[list[Future[Any]]]:
        """Inside, so many requests were sent to the model, and none is answered; afterwards all are."""
        with ThreadPoolExecutor(count) as many:
            asked = [many.submit(self.ask) for _ in range(count)]
            try:
                eventually(lambda: self.waiting == count - AT_ONCE)
                yield asked
            finally:
                self.let_pass(100)
            assert [a.result().status_code for a in asked] == [200] * count
        self.unused()

    def ask(self, rows: Any = ROWS, **headers: str) -> Any:
        return self.scoring.post(f"/models/{self.name}/score", {"data": rows}, headers=headers)

    def behind_one(self, many: list[Any]) -> list[Any]:
        """What these are answered that all came while another was being answered."""
        with ThreadPoolExecutor(1 + len(many)) as pool:
            first = pool.submit(self.ask)
            eventually(lambda: self.scoring.service.scorer.waiting == 1)
            asked = [pool.submit(self.ask, rows) for rows in many]
            eventually(lambda: self.waiting == len(many))
            self.let_pass(200)
            assert first.result().status_code == 200
            return [a.result() for a in asked]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, iris: Any) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("load")
    for scoring in running(folder, score_waiting=WAITING):
        # it answers otherwise together than alone, so its requests do not share calls
        yield Gate(scoring, scoring.register("iris", iris), "slow", "rows.cumsum(axis=0)", "alone")


def test_requests_that_come_during_a_call_share_the_next_and_a_poisonous_row_is_only_its_own_fault(
    tmp_path: Path, iris: Any
) -> None:
    for scoring in running(tmp_path):
        answer = "(1 / 0) if (rows == 99).any() else rows * 2"
        gate = Gate(scoring, scoring.register("iris", iris), "doubling", answer, "shared")

        def told() -> tuple[float, float]:
            calls, requests = (
                samples(scoring, f"fitq_scoring_batch_requests_{what}")[()]  # noqa: B023
                for what in ("count", "sum")
            )
            return calls, requests

        before, rows = told(), [[[float(i), 1.0, 1.0, 1.0]] for i in range(16)]
        assert [a.json() for a in gate.behind_one(rows)] == (2 * np.array(rows)).tolist()
        after = told()
        assert after[0] - before[0] <= 3
        assert after[1] - before[1] == 17
        gate.unused()
        rows[5][0][3] = 99.0
        answers = gate.behind_one(rows)
        assert_one_error_shape(answers.pop(5), 500)
        assert [a.json() for a in answers] == (2 * np.array(rows[:5] + rows[6:])).tolist()


def samples(scoring: Scoring, metric: str) -> dict[tuple[str, ...], float]:
    """Values by their labels."""
    told = scoring.get("/metrics").text
    return {
        tuple(s.labels.values()): s.value
        for family in text_string_to_metric_families(told)
        for s in family.samples
        if s.name == metric
    }


def test_a_flood_on_a_slow_model_does_not_starve_another(gate: Gate) -> None:
    """The other's answer comes after the few calls that were in the scorer, not after all that wait."""
    gate.scoring.score("iris", ROWS)
    eventually(lambda: gate.scoring.get("/models/iris").json()["batching"]["predict_proba"] != "unknown")
    with gate.flooded(WAITING + AT_ONCE), ThreadPoolExecutor(1) as one:
        other = one.submit(gate.scoring.score, "iris", ROWS)
        eventually(lambda: gate.scoring.service.scorer.waiting == AT_ONCE + 1)
        gate.let_pass(AT_ONCE)
        assert other.result(30)
        assert gate.waiting >= WAITING - AT_ONCE


def test_a_request_too_many_is_a_429_that_says_when_to_come_back(gate: Gate) -> None:
    before = samples(gate.scoring, "fitq_scoring_rejections_total").get(("queue_full",), 0)
    with gate.flooded(WAITING + AT_ONCE):
        answer = gate.ask()
        told = assert_one_error_shape(answer, 429)
        assert told["code"] == "too_many_requests"
        assert told["curl"]
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert samples(gate.scoring, "fitq_scoring_waiting")["slow", "1"] == WAITING
    gate.let_pass(1)
    assert_explained(gate.scoring, answer)
    assert samples(gate.scoring, "fitq_scoring_rejections_total")["queue_full",] == before + 1


class _Opened:
    """A function that is there once a byte came through a pipe: loading takes as long as a test wants."""

    def __init__(self, pipe: Path) -> None:
        self.pipe = pipe

    def __reduce__(self) -> tuple[Any, ...]:
        text = f"open({str(self.pipe)!r}, 'rb', buffering=0).read(1) and (lambda rows, **_: rows)"
        return eval, (text,)

    def __call__(self, rows: Any, **_: Any) -> Any:
        return rows


def test_while_a_model_is_loaded_so_many_wait_as_may_and_others_are_told_to_come_back(
    tmp_path: Path, iris: Any
) -> None:
    """Before the first answer, and again after it was unloaded because nobody asked."""
    most = 3
    place = tmp_path / "cache" / "pipe"  # where a child may read
    place.parent.mkdir()
    os.mkfifo(place)
    pipe = os.open(place, os.O_RDWR | os.O_NONBLOCK)
    for scoring in running(tmp_path, score_waiting=most, scorer_idle_seconds=0.2):
        like = scoring.register("iris", iris)
        facts = ModelFacts(methods=["transform"], default_method="transform", input_schema=like.input_schema)
        scoring.keep("slow", saved(FunctionTransformer(_Opened(place))), facts)
        for _ in range(2):
            # more bytes than one load takes: on a slow machine it may be unloaded before it was asked
            flood(scoring, most + AT_ONCE + 2, lambda: os.write(pipe, b"." * 100))
            eventually(lambda s=scoring: not s.service.scorer.loaded_bytes)  # type: ignore[misc]
            with contextlib.suppress(BlockingIOError):
                os.read(pipe, 1000)
    os.close(pipe)


def flood(scoring: Scoring, count: int, open_gate: Callable[[], object]) -> None:
    """So many at once, two more than may wait: those that are answered before the model is loaded are 429."""
    with ThreadPoolExecutor(count) as many:
        asked = [many.submit(scoring.post, "/models/slow/score", {"data": ROWS}) for _ in range(count)]
        try:
            early = eventually(
                lambda: refused if len(refused := [a for a in asked if a.done()]) > 1 else None
            )
            for answer in early:
                assert_one_error_shape(answer.result(), 429)
                assert answer.result().headers["retry-after"]
        finally:
            open_gate()
        statuses = [a.result().status_code for a in asked]
    assert set(statuses) == {200, 429}
    assert "x-cold-start-ms" in " ".join(h for a in asked for h in a.result().headers)


def test_what_is_not_answered_in_the_callers_own_time_is_not_computed(gate: Gate) -> None:
    with gate.flooded(AT_ONCE + 1):
        answer = gate.ask(**{"x-fitq-timeout-ms": "50"})
        told = assert_one_error_shape(answer, 503)
        assert told["reason"] == "deadline_passed"
        assert int(answer.headers["retry-after"]) >= 1
        gate.let_pass(AT_ONCE + 1 + 10)
        eventually(lambda: samples(gate.scoring, "fitq_scoring_waiting")["slow", "1"] == 0)
        eventually(lambda: gate.scoring.service.scorer.waiting == 0)
        assert gate.unused() == 10


@pytest.mark.parametrize(
    "given",
    ["", "soon", "-1", "0", "1.5", "99999999999", "3600001", "00000000013600001", "0000000001" + "0" * 310],
    ids=lambda given: given[:20],
)
def test_a_limit_that_is_none_is_refused(gate: Gate, given: str) -> None:
    told = assert_one_error_shape(gate.ask(**{"x-fitq-timeout-ms": given}), 400)
    assert told["at"] == "header x-fitq-timeout-ms"
    assert told["curl"]


def test_a_model_tells_how_it_is_answered(gate: Gate) -> None:
    gate.scoring.score("iris", ROWS)
    told = gate.scoring.get("/models/iris").json()
    assert told["state"] == "Healthy"
    assert told["replay"]["state"] == "same"
    assert told["queue"] == {"waiting": 0, "most": WAITING}
    assert told["memory_bytes"] > 0
    assert told["latency"]["answers"] >= 1
    assert told["latency"]["p50_ms"] <= told["latency"]["p95_ms"] <= told["latency"]["p99_ms"]
    assert told["cold_starts"]["count"] == 1
    assert told["cold_starts"]["p50_ms"] > 0


def test_prometheus_is_told_of_calls_loads_and_refusals(gate: Gate) -> None:
    gate.scoring.score("iris", ROWS)
    gate.scoring.post("/models/iris/score", {"data": [["x"] * 4]})

    def told(name: str) -> dict[tuple[str, ...], float]:
        return samples(gate.scoring, f"fitq_scoring_{name}")

    assert told("requests_total")["iris", "200", "1"] >= 1
    assert told("rejections_total")["input_rejected",] >= 1
    assert told("batch_requests_count")[()] >= 1
    assert told("batch_rows_sum")[()] >= 1
    assert told("cold_start_seconds_count")[()] == 2
    assert told("model_loads_total")["loaded",] == 2
    assert told("model_memory_bytes")["iris", "1"] > 0
    assert told("models_loaded")[()] == 2
    assert told("scorers")[()] == told("scorer_starts_total")[()] == 1
    assert told("model_evictions_total")[()] == 0
