"""Metrics become a chart, one number, a table or text; nothing that can be logged breaks the page."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.dashboard.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Single, Table, drawn
from tests.dashboard.samples import ended, point, running, submitted


def chart_of(*values: Any, steps: list[int] | None = None) -> Chart:
    found = drawn("loss", [point("loss", v, steps[i] if steps else None) for i, v in enumerate(values)])
    assert isinstance(found, Chart)
    return found


def places(chart: Chart) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for line in chart.lines for pair in line.split()]
    return [(float(x), float(y)) for x, y in pairs] + chart.dots


def test_a_series_goes_from_corner_to_corner() -> None:
    chart = chart_of(0.0, 1.0)
    assert chart.lines == [f"{LEFT},{HEIGHT - BOTTOM} {WIDTH - RIGHT},{TOP}"]
    assert [t.label for t in chart.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [t.label for t in chart.x_ticks] == ["1", "2"]
    assert (chart.lowest, chart.highest, chart.last, chart.count) == (0.0, 1.0, 1.0, 2)


def test_one_point_is_a_number_not_a_chart() -> None:
    assert drawn("accuracy", [point("accuracy", 0.97, step=3)]) == Single(name="accuracy", last=0.97, step=3)
    assert drawn("kernel", [point("kernel", "linear")]) == Single(name="kernel", last="linear")


def test_steps_are_the_axis_when_every_value_has_one() -> None:
    assert chart_of(1, 2, steps=[0, 100]).x_title == "step"
    assert [t.label for t in chart_of(1, 2, steps=[0, 100]).x_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert chart_of(3, 1, 2, steps=[30, 10, 20]).lines == chart_of(1, 2, 3, steps=[10, 20, 30]).lines
    assert chart_of(1, 2).x_title == "value number"


def test_what_is_not_a_number_is_a_gap() -> None:
    chart = chart_of(1.0, 2.0, "nan", 3.0, "inf", 2.0, 1.0)
    assert len(chart.lines) == 2
    assert len(chart.dots) == 1
    assert (chart.lowest, chart.highest, chart.count) == (1.0, 3.0, 7)


def test_a_constant_series_has_a_line_in_the_middle() -> None:
    ((_, first), (_, second)) = places(chart_of(5.0, 5.0))
    assert first == second == (TOP + HEIGHT - BOTTOM) / 2


def test_a_long_series_is_thinned_and_keeps_its_spike() -> None:
    values = [1.0] * 5000
    values[2345] = 100.0
    chart = chart_of(*values)
    assert len(places(chart)) <= 150
    assert min(y for _, y in places(chart)) == TOP


def test_rows_and_texts_become_tables() -> None:
    logged = [{"index": 1, "accuracy": 0.9}, {"index": 2, "extra": 1}]
    rows = drawn("fold", [point("fold", row) for row in logged])
    assert isinstance(rows, Table)
    assert rows.columns == ["index", "accuracy", "extra"]
    assert rows.rows == [[1, 0.9, ""], [2, "", 1]]
    texts = drawn("note", [point("note", "a"), point("note", 1)])
    assert isinstance(texts, Table)
    assert texts.rows == [["a"], [1]]


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.booleans(),
    st.integers(10**300, 10**320),
    st.sampled_from(["nan", "inf", "-inf", None, 5e-324, -5e-324, 1.7e308, -1.7e308]),
)
ANYTHING = st.one_of(
    NUMBERS, st.text(max_size=5), st.lists(NUMBERS, max_size=2), st.dictionaries(st.text(), NUMBERS)
)


@given(values=st.lists(NUMBERS, min_size=2, max_size=200), step=st.none() | st.integers(-(2**63), 2**63))
def test_every_number_lands_inside_the_drawing(values: list[Any], step: int | None) -> None:
    steps = [None if step is None else step + i * abs(step) for i in range(len(values))]
    found = drawn("m", [point("m", v, s) for v, s in zip(values, steps, strict=True)])
    if isinstance(found, Chart):
        assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in places(found))
        ticks = [t.at for t in found.x_ticks + found.y_ticks]
        assert all(TOP <= at <= WIDTH for at in ticks)
        assert 1 <= len(found.x_ticks) <= 7
        assert 1 <= len(found.y_ticks) <= 7


@given(values=st.lists(ANYTHING, min_size=1, max_size=20))
def test_anything_logged_has_a_view(values: list[Any]) -> None:
    assert drawn("m", [point("m", v) for v in values]).name == "m"


@pytest.mark.parametrize("value", [10**400, "nan", None, True, [], {}, [1, [2]], "", 1e300, -0.0])
def test_odd_values_render(client: TestClient, memory_backend: Backend, value: object) -> None:
    held = running(memory_backend, submitted(memory_backend))
    memory_backend.state.append_metrics(held.id, [point("one", value), point("two", value), point("two", 1)])
    assert client.get(f"/runs/{held.id}").status_code == 200


def test_a_chart_is_readable_as_text(client: TestClient, memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend))
    run = ended(memory_backend, held, metrics=[point("loss", 1 / n) for n in range(1, 11)])
    page = client.get(f"/runs/{run.id}").text
    assert 'aria-label="loss: 10 values from 0.1 to 1, last 0.1"' in page
    assert "<title>loss</title>" in page
    assert ">value number</text>" in page
    assert "style=" not in page
