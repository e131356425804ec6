"""Requests that share a call: the same answers, and one's trouble is its own."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from fitq.errors import InputRejected, ScoringFailed, TooManyRequests, Unavailable
from fitq.records import Column, InputSchema
from fitq.schema import ArraySchema, Rows
from fitq.scorer.client import ModelFile, Outcome
from fitq.scoring.alike import answers_alike
from fitq.scoring.batch import AT_ONCE, MAX_ROWS, Batches, Limits
from fitq.scoring.calls import Calls
from tests.conftest import eventually
from tests.scoring.conftest import Scoring, assert_one_error_shape

SCHEMA = InputSchema(columns=[Column(kind="number")], example=[[1.0]])
MODEL = ModelFile("m:1", Path("nowhere"), SCHEMA)


def in_a_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(test(**given))

    return run


def rows(*values: float) -> Rows:
    return ArraySchema(SCHEMA).check([[v] for v in values])


class Doubler:
    """Stands in for the scorer: doubles rows, remembers each call, waits while it is held."""

    def __init__(self, answer: Callable[[Any], Any] = lambda matrix: matrix[:, 0] * 2) -> None:
        self.calls: list[list[float]] = []
        self.go = asyncio.Event()
        self.go.set()
        self._answer = answer

    async def predict(self, model: ModelFile, method: str, given: Rows) -> Outcome:
        assert given.matrix is not None
        self.calls.append(given.matrix[:, 0].tolist())
        await self.go.wait()
        return Outcome(self._answer(given.matrix), 0.0)


class Lane:
    """One method of a model, asked in batches."""

    def __init__(self, batches: Batches, *, shares: bool) -> None:
        self.batches, self._shares = batches, shares

    def predict(self, given: Rows) -> asyncio.Future[Outcome]:
        return self.batches.predict("predict", given, shares=self._shares)


def batches(scorer: Any, limits: Limits = Limits(), *, shares: bool = True) -> Lane:  # noqa: B008  # frozen
    return Lane(Batches(scorer, MODEL, limits), shares=shares)


async def gathered(lane: Lane, *requests: Rows) -> list[Any]:
    found = await asyncio.gather(*(lane.predict(r) for r in requests), return_exceptions=True)
    return [f if isinstance(f, BaseException) else f.predictions.tolist() for f in found]


@in_a_loop
async def test_requests_of_one_turn_share_a_call() -> None:
    scorer = Doubler()
    assert await gathered(batches(scorer), rows(1, 2), rows(3), rows(4)) == [[2, 4], [6], [8]]
    assert scorer.calls == [[1, 2, 3, 4]]


@in_a_loop
async def test_who_is_alone_waits_for_no_timer() -> None:
    def no_timer(*_: Any, **__: Any) -> None:
        raise AssertionError("a timer")

    loop, scorer = asyncio.get_running_loop(), Doubler()
    loop.call_later = loop.call_at = no_timer  # type: ignore[method-assign,assignment]  # for this loop alone
    assert await gathered(batches(scorer), rows(1)) == [[2]]
    assert await gathered(batches(scorer, shares=False), rows(1)) == [[2]]


@in_a_loop
async def test_what_arrives_during_a_call_shares_the_next() -> None:
    scorer = Doubler()
    lane = batches(scorer)
    scorer.go.clear()
    first = asyncio.ensure_future(lane.predict(rows(1)))
    while not scorer.calls:
        await asyncio.sleep(0)
    later = [asyncio.ensure_future(lane.predict(rows(v))) for v in (2, 3)]
    await asyncio.sleep(0)
    scorer.go.set()
    assert [o.predictions.tolist() for o in await asyncio.gather(first, *later)] == [[2], [4], [6]]
    assert scorer.calls == [[1], [2, 3]]


@in_a_loop
async def test_a_poisonous_row_fails_only_its_own_request() -> None:
    def answer(matrix: Any) -> Any:
        if 13 in matrix:
            raise ScoringFailed("It raised.")
        if 14 in matrix:
            raise InputRejected("Not this row.", got="14")
        return matrix[:, 0] * 2

    found = await gathered(batches(Doubler(answer)), *(rows(v) for v in (1, 13, 2, 14, 3)))
    assert [found[0], found[2], found[4]] == [[2], [4], [6]]
    assert isinstance(found[1], ScoringFailed)
    assert isinstance(found[3], InputRejected)
    assert found[3].data["got"] == "14"


@in_a_loop
async def test_an_answer_of_another_length_is_nobodys_but_its_own() -> None:
    found = await gathered(batches(Doubler(lambda m: m[m[:, 0] != 13][:, 0])), rows(1), rows(13), rows(2))
    assert [found[0], found[2]] == [[1], [2]]
    assert isinstance(found[1], ScoringFailed)


@in_a_loop
async def test_when_the_scorer_ends_each_gets_an_error_of_its_own() -> None:
    def answer(_: Any) -> Any:
        raise Unavailable("It ended.", retry_after=1)

    found = await gathered(batches(Doubler(answer)), rows(1), rows(2))
    assert all(isinstance(f, Unavailable) and f.data["retry_after"] == 1 for f in found)
    assert found[0] is not found[1]
    assert found[0].data is not found[1].data


@in_a_loop
async def test_a_caller_that_gives_up_disturbs_no_other() -> None:
    scorer = Doubler()
    lane = batches(scorer)
    scorer.go.clear()
    running = [asyncio.ensure_future(lane.predict(rows(v))) for v in (1, 2)]
    while not scorer.calls:
        await asyncio.sleep(0)
    waiting = [asyncio.ensure_future(lane.predict(rows(v))) for v in (3, 4)]
    await asyncio.sleep(0)
    running[0].cancel()
    waiting[0].cancel()
    await asyncio.sleep(0)
    scorer.go.set()
    assert (await running[1]).predictions.tolist() == [4]
    assert (await waiting[1]).predictions.tolist() == [8]
    assert scorer.calls == [[1, 2], [4]]


@pytest.mark.parametrize("shares", [True, False])
@in_a_loop
async def test_a_full_queue_is_a_429_and_empties_again(shares: bool) -> None:
    scorer = Doubler()
    lane = batches(scorer, Limits(waiting=20), shares=shares)
    found = await gathered(lane, *(rows(v) for v in range(21)))
    assert isinstance(found[-1], TooManyRequests)
    assert found[-1].data == {"reason": "queue_full", "retry_after": 1}
    assert found[:-1] == [[2 * v] for v in range(20)]
    assert lane.batches.waiting == 0
    assert await gathered(lane, rows(7)) == [[14]]


@in_a_loop
async def test_who_gives_up_leaves_room_for_another() -> None:
    scorer = Doubler()
    lane = batches(scorer, Limits(waiting=2))
    scorer.go.clear()
    running = asyncio.ensure_future(lane.predict(rows(0)))
    while not scorer.calls:
        await asyncio.sleep(0)
    waiting = [lane.predict(rows(v)) for v in (1, 2)]
    assert isinstance(lane.predict(rows(3)).exception(), TooManyRequests)
    waiting[0].cancel()
    taken = lane.predict(rows(4))
    assert isinstance(lane.predict(rows(5)).exception(), TooManyRequests)
    scorer.go.set()
    assert [o.predictions.tolist() for o in await asyncio.gather(running, waiting[1], taken)] == [
        [0],
        [4],
        [8],
    ]
    assert scorer.calls == [[0], [2, 4]]


@in_a_loop
async def test_who_waited_too_long_is_told_so_and_not_computed() -> None:
    scorer = Doubler()
    found = await gathered(batches(scorer, Limits(seconds=-1)), rows(1))
    assert isinstance(found[0], Unavailable)
    assert found[0].data["reason"] == "waited_too_long"
    assert scorer.calls == []


@in_a_loop
async def test_requests_that_do_not_share_have_few_calls_in_the_scorer_at_once() -> None:
    scorer = Doubler()
    lane = batches(scorer, shares=False)
    scorer.go.clear()
    asked = [asyncio.ensure_future(lane.predict(rows(v))) for v in range(20)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert scorer.calls == [[v] for v in range(AT_ONCE)]
    assert lane.batches.waiting == 20 - AT_ONCE
    scorer.go.set()
    assert [o.predictions.tolist() for o in await asyncio.gather(*asked)] == [[2 * v] for v in range(20)]
    assert scorer.calls == [[v] for v in range(20)]


@in_a_loop
async def test_methods_of_a_model_take_turns() -> None:
    scorer = Doubler()
    lane = Batches(scorer, MODEL, Limits())  # type: ignore[arg-type]
    scorer.go.clear()
    order: list[str] = []
    asked = []
    for method, count in (("flooded", 40), ("other", 2)):
        for _ in range(count):
            answer = lane.predict(method, rows(1), shares=False)
            answer.add_done_callback(lambda _, m=method: order.append(m))
            asked.append(answer)
    scorer.go.set()
    await asyncio.gather(*asked)
    assert order[:4].count("other") == 2


@in_a_loop
async def test_large_requests_go_alone() -> None:
    scorer = Doubler()
    large = rows(*range(MAX_ROWS))
    found = await gathered(batches(scorer), rows(1), large, rows(2))
    assert [len(f) for f in found] == [1, MAX_ROWS, 1]
    assert [len(c) for c in scorer.calls] == [1, MAX_ROWS, 1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(lambda m: m[:, 0] * 2, True), (lambda m: m[:, 0] - m.mean(), False), (lambda m: m[:1, 0], False)],
)
@in_a_loop
async def test_only_what_answers_alike_alone_and_together_is_batched(answer: Any, expected: bool) -> None:
    assert await answers_alike(Doubler(answer), MODEL, "predict", ArraySchema(SCHEMA)) is expected  # type: ignore[arg-type]


@in_a_loop
async def test_whole_numbers_that_may_be_missing_are_not_batched() -> None:
    schema = InputSchema(columns=[Column(kind="integer", nullable=True)], example=[[1]])
    assert not await answers_alike(Doubler(), MODEL, "predict", ArraySchema(schema))  # type: ignore[arg-type]


@in_a_loop
async def test_a_scorer_that_ends_while_batching_is_tried_leaves_it_unknown_until_the_next_answer() -> None:
    answered = 0

    def answer(matrix: Any) -> Any:
        nonlocal answered
        answered += 1
        if answered in (2, 4):  # the first call of each trial
            raise Unavailable("It ended.")
        return matrix[:, 0] * 2

    scorer: Any = Doubler(answer)
    calls = Calls(scorer, MODEL, "predict", ArraySchema(SCHEMA), Batches(scorer, MODEL, Limits()))
    for trial in (1, 2):
        await calls.predict(rows(1))
        while answered < 2 * trial or calls._looking is not None:
            await asyncio.sleep(0)
        assert calls.batching == "unknown"
    await calls.predict(rows(1))
    assert calls._looking is None, "whatever ends it is left in peace for a while"
    calls._look_after = 0.0  # that while is over
    await calls.predict(rows(1))
    while calls.batching == "unknown":
        await asyncio.sleep(0)
    assert calls.batching == "shared"


CHANCE = np.random.default_rng(0)
MATRIX = CHANCE.normal(size=(90, 3))
LABELS = (MATRIX[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(MATRIX, columns=["a", "b", "c"])
TEXTS = ["good wine", "bad beer", "good cheese", "bad wine"]
MODELS: dict[str, tuple[Any, list[Any]]] = {
    "array": (LogisticRegression().fit(MATRIX, LABELS), MATRIX.tolist()),
    "named": (RandomForestClassifier(5).fit(FRAME, LABELS), FRAME.to_dict("records")),
    "text": (make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, [1, 0, 1, 0]), TEXTS * 20),
    "regressor": (RandomForestRegressor(5).fit(MATRIX, MATRIX[:, 1]), MATRIX.tolist()),
    "several": (
        DecisionTreeClassifier().fit(MATRIX, np.column_stack([LABELS, 1 - LABELS, LABELS + 5])),
        MATRIX.tolist(),
    ),
    "labels": (DecisionTreeClassifier().fit(MATRIX, np.where(LABELS, "yes", "no")), MATRIX.tolist()),
}


def settled(scoring: Scoring, name: str, method: str) -> str:
    """What is known of batching once it was looked into."""

    def told() -> str:
        found: str = scoring.get(f"/models/{name}").json()["batching"].get(method, "unknown")
        return found

    eventually(lambda: told() != "unknown")
    return told()


@pytest.mark.parametrize("name", MODELS)
def test_many_at_once_are_answered_as_each_alone(
    scoring: Scoring, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, known = MODELS[name]
    record = scoring.register(name, model)
    served = scoring.service.models
    for method in record.methods:
        alone = [scoring.score(name, [known[0]], method=method)]
        state = settled(scoring, name, method)
        calls = served._served[(name, 1)].calls(method)
        with monkeypatch.context() as unbatched:
            unbatched.setattr(calls, "_is_alike", False)
            alone += [scoring.score(name, [row], method=method) for row in known[1:40]]
        with ThreadPoolExecutor(16) as pool:
            many = list(pool.map(lambda row: scoring.score(name, [row], method=method), known[:40]))  # noqa: B023
        assert many == alone
        assert state in ("shared", "alone")
    assert settled(scoring, name, "predict") == "shared"


def test_a_model_that_looks_at_its_neighbours_is_asked_alone(scoring: Scoring) -> None:
    scoring.register("centred", FunctionTransformer(np.cumsum, kw_args={"axis": 0}).fit(MATRIX))
    assert scoring.score("centred", [[1, 2, 3], [1, 2, 3]], method="transform") == [[1, 2, 3], [2, 4, 6]]
    assert settled(scoring, "centred", "transform") == "alone"


def test_dialects_methods_and_faults_stay_their_own(scoring: Scoring) -> None:
    scoring.register("mixed", MODELS["array"][0])
    row = MATRIX[0].tolist()
    label = scoring.score("mixed", [row], method="predict")
    proba = scoring.score("mixed", [row], method="predict_proba")
    settled(scoring, "mixed", "predict")
    asked = [
        ("/models/mixed/score", {"data": [row], "method": "predict"}),
        ("/v1/models/mixed:predict", {"instances": [row], "method": "predict"}),
        ("/models/mixed/score", {"data": [row], "method": "predict_proba"}),
        ("/models/mixed/score", {"data": [[1, 2]]}),
    ] * 8
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda given: scoring.post(*given), asked))
    for i, answer in enumerate(answers):
        if i % 4 == 3:
            assert_one_error_shape(answer, 400)
        else:
            assert answer.json() == (label, {"predictions": label}, proba)[i % 4]
