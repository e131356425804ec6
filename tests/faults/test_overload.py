"""Twice as many requests as can be answered: some are told to come back, the others are not kept waiting."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from fitq.scorer.facts import ModelFacts
from fitq.settings import Settings
from tests.faults.web import AUTHORIZATION, Web, running
from tests.scoring.conftest import looked_into, saved
from tests.scoring.keeping import keep
from tests.scoring.test_faults import expression

ROW = [[5.1, 3.5, 1.4, 0.2]]
WAITING, CALL_SECONDS, LOAD_SECONDS = 4, 0.05, 3.0
CLIENTS = 10 * WAITING


@pytest.fixture(scope="module")
def scoring(strict: Settings, iris: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("overload")
    (folder / "iris.joblib").write_bytes(saved(iris))
    facts = looked_into(folder / "iris.joblib", None)
    keep(strict, "iris", iris, facts)
    # cumulated sums depend on the rows before, so that no two requests share a call
    waits = ModelFacts(methods=["transform"], default_method="transform", input_schema=facts.input_schema)
    tardy = expression(f"(__import__('time').sleep({CALL_SECONDS}), rows.cumsum(axis=0))[1]")
    keep(strict, "tardy", tardy, waits)
    settings = dataclasses.replace(strict, score_waiting=WAITING)
    with running(web := Web(settings, folder / "log", "scoring")):
        yield web


def asked(client: httpx2.Client, model: str) -> tuple[httpx2.Response, float]:
    began = time.monotonic()
    answer = client.post(f"/models/{model}/score", json={"data": ROW})
    return answer, time.monotonic() - began


def test_what_is_too_much_is_refused_and_what_is_accepted_is_answered_soon(scoring: Web) -> None:
    over = threading.Event()

    def ask(model: str) -> list[tuple[httpx2.Response, float]]:
        found = []
        with httpx2.Client(
            base_url=scoring.url, headers=AUTHORIZATION, trust_env=False, timeout=60
        ) as client:
            while not over.is_set():
                found.append(asked(client, model))
                time.sleep(CALL_SECONDS)  # all would be at it with no pause, and so would this machine
        return found

    with ThreadPoolExecutor(CLIENTS + 1) as many:
        flood = [many.submit(ask, "tardy") for _ in range(CLIENTS)]
        beside = many.submit(ask, "iris")
        time.sleep(LOAD_SECONDS)
        over.set()
        answers = [pair for future in flood for pair in future.result(60)]
        assert {answer.status_code for answer, _ in beside.result(60)} == {200}, "another model's callers"
    accepted = [seconds for answer, seconds in answers if answer.status_code == 200]
    refused = [answer for answer, _ in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert accepted
    # all who may wait before one, and what the scorer has: not the whole flood
    a_turn = max(CALL_SECONDS, LOAD_SECONDS / len(accepted))
    accepted.sort()
    assert accepted[len(accepted) // 2] < 3 * (WAITING + 4) * a_turn
    with httpx2.Client(base_url=scoring.url, headers=AUTHORIZATION, trust_env=False, timeout=60) as client:
        assert asked(client, "tardy")[0].status_code == 200
