"""Numbers are taken out of large bodies as one array: the same numbers, and only where nothing else is."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitq.scoring.large import decode

NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=20)
)


@given(rows=TABLES, indent=st.sampled_from([None, 1]), key=st.sampled_from(["data", "instances"]))
def test_rows_are_the_same_numbers(rows: list[list[float]], indent: int | None, key: str) -> None:
    body = json.dumps({"method": "predict", key: rows, "more": {"x": [1]}}, indent=indent).encode()
    found = decode(body)
    assert found[key].tobytes() == np.array(rows, dtype=float).tobytes()
    assert (found["method"], found["more"]) == ("predict", {"x": [1]})


@given(values=st.lists(NUMBERS, min_size=1, max_size=50))
def test_flat_values_of_a_tensor_are_too(values: list[float]) -> None:
    found = decode(json.dumps({"inputs": [{"shape": [len(values)], "data": values}]}).encode())
    assert found["inputs"][0]["data"].tobytes() == np.array(values, dtype=float).tobytes()
    assert found["inputs"][0]["shape"] == [len(values)]


@given(
    rows=TABLES,
    cut=st.integers(0, 400),
    put=st.text("[]{},:.eE+-01\"n tu' \n", max_size=4),
    dropped=st.integers(0, 3),
)
def test_what_is_read_is_what_json_says(rows: list[list[float]], cut: int, put: str, dropped: int) -> None:
    """However a body is damaged: it is not read here, or it is still that JSON."""
    text = json.dumps({"data": rows, "method": "[[1]]"})
    damaged = text[:cut] + put + text[cut + dropped :]
    found = decode(damaged.encode())
    if found is not None:
        assert as_lists(found) == as_floats(json.loads(damaged))


def as_lists(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {k: as_lists(v) for k, v in value.items()}
    return as_floats(value)


def as_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [as_floats(v) for v in value]
    if isinstance(value, dict):
        return {k: as_floats(v) for k, v in value.items()}
    return float(value) if isinstance(value, int) and math.isfinite(value) else value


@pytest.mark.parametrize(
    "body",
    [
        '{"data": [[1, 2], [3]]}', '{"data": [[1, 2], [[3], 4]]}', '{"data": [[1, "2"]]}',
        '{"data": [[1, null]]}', '{"data": [[18446744073709551616]]}',
        '{"data": [[1, true]]}', '{"data": [[1, NaN]]}', '{"data": [[1, 1e400]]}', '{"data": [[1, 2,]]}',
        '{"data": [[1 2, 3]]}', '{"data": [[]]}', '{"data": []}', '{"data": [[01]]}', '{"data": [[1], [2]]',
        '{"id": "[[1, 2]]", "data": null}', "",
    ],
)  # fmt: skip
def test_everything_else_is_left_to_the_usual_way(body: str) -> None:
    assert decode(body.encode()) is None
