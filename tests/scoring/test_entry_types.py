"""A script's decorators answer over HTTP as they do in its author's own Python."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fitq.scoring.answers import to_json
from tests.scoring.conftest import Scoring, assert_one_error_shape, running
from tests.scoring.test_entry_scripts import Scripts

#: The same requests each time, however slow the machine is.
_CALM = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
SCRIPT = """
import numpy as np, pandas as pd
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

def init():
    pass

frame = PandasParameterType(pd.DataFrame({"age": [20.0], "city": ["Rome"], "floor": [1]}))
matrix = NumpyParameterType(np.array([[1.5, 2.5]]))
factor = StandardPythonParameterType(1.0)

@input_schema("nested", StandardPythonParameterType({"frame": frame, "matrix": matrix, "factor": factor}))
@input_schema("name", StandardPythonParameterType("a name"))
def run(nested, name):
    return [{k: shown(v) for k, v in nested.items()}, name]

def shown(value):
    if isinstance(value, pd.DataFrame):
        return [value.to_dict("records"), [str(t) for t in value.dtypes]]
    return [value.tolist(), str(value.dtype)] if isinstance(value, np.ndarray) else value
"""
RECORD = {"age": 20.5, "city": "Oslo", "floor": 3}
BODY = {"nested": {"frame": [RECORD], "matrix": [[1, 2.5]], "factor": 2.0}, "name": "x"}
ODD = st.sampled_from([None, True, 5, 1.5, "5", "text", [], {}, [1], [[1]], [[1, 2], [3, 4]], [["1", 2]]])


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory, iris: Any) -> Iterator[Scoring]:
    for scoring in running(tmp_path_factory.mktemp("models"), score_seconds=20.0):
        scripts = Scripts(scoring, tmp_path_factory.mktemp("scripts"), iris)
        scripts.keep("typed", SCRIPT)
        yield scoring


@pytest.fixture(scope="module")
def run() -> Callable[..., Any]:
    """The script's function, here."""
    found: dict[str, Any] = {"__name__": "typed_script"}
    exec(SCRIPT, found)
    return found["run"]  # type: ignore[no-any-return]


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """The body, with one thing in it that is another, or none."""
    body = copy.deepcopy(BODY)
    nested: dict[str, Any] = body["nested"]  # type: ignore[assignment]
    holder = draw(st.sampled_from([{}, body, nested, nested["frame"][0]]))
    if holder:
        holder[draw(st.sampled_from(sorted(holder)))] = draw(ODD)
    return body


@settings(_CALM, max_examples=40)
@given(body=bodies())
def test_what_the_types_take_and_refuse_is_taken_and_refused(
    scoring: Scoring, run: Callable[..., Any], body: dict[str, Any]
) -> None:
    try:
        expected = run(**copy.deepcopy(body))
    except Exception:
        expected = None
    answer = scoring.post("/models/typed/score", body)
    if expected is None:
        assert_one_error_shape(answer, 400)
    else:
        assert answer.json() == json.loads(to_json(expected))  # NaN is null
