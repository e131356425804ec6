"""What is counted, and that it stays readable with any number of models."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from fitq.scoring.journal import Answered
from fitq.scoring.measures import LABELLED, Measures


def answer(model: str, *, at: float = 1.0, seconds: float = 0.01, cold: float | None = None) -> Answered:
    return Answered("id", model, 1, 2, 200, at - seconds, at, cold_seconds=cold)


def requests(measures: Measures) -> dict[str, float]:
    families = text_string_to_metric_families(asyncio.run(measures.text()).decode())
    return {
        s.labels["model"]: s.value
        for family in families
        for s in family.samples
        if s.name == "fitq_scoring_requests_total"
    }


def test_ten_thousand_models_make_few_lines_and_every_answer_counts() -> None:
    measures = Measures()
    for _ in range(2):
        for i in range(10_000):
            measures.answered(answer(f"m-{i}"))
    told = requests(measures)
    assert len(told) == LABELLED + 1
    assert sum(told.values()) == 20_000
    assert told["(other)"] == 2 * (10_000 - LABELLED)
    assert len(asyncio.run(measures.text()).splitlines()) < 15_000
    assert measures.latest("m-9999", 1).latency["answers"] == 2


def test_a_place_becomes_free_when_nobody_asked_for_an_hour_and_no_sum_goes_down() -> None:
    measures = Measures()
    for i in range(LABELLED):
        measures.answered(answer(f"m-{i}", at=0))
    measures.answered(answer("m-0", at=4000))
    measures.answered(answer("new", at=4001))
    told = requests(measures)
    assert told == {"m-0": 2, "new": 1, "(other)": LABELLED - 1}
    assert measures.labels(("new", 1)) == ["new", "1"]
    assert measures.labels(("m-1", 1)) == ["(other)", ""]


def test_percentiles_are_those_of_the_latest_answers() -> None:
    measures = Measures()
    for i in range(3000):
        measures.answered(answer("m", at=i, seconds=1.0 if i < 2000 else (i - 1999) / 1000))
    measures.answered(answer("m", at=3000, seconds=1.0, cold=0.25))
    told = measures.latest("m", 1)
    assert told.latency == {"answers": 1000, "p50_ms": 501.0, "p95_ms": 951.0, "p99_ms": 991.0}
    assert told.cold_starts == {"count": 1, "p50_ms": 250.0, "p95_ms": 250.0, "p99_ms": 250.0}
    assert measures.latest("m", 2).latency == {"answers": 0}
