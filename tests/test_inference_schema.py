"""What is accepted of records and of texts is what inference-schema's other types make of it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

from fitq.errors import InputRejected
from fitq.records import Column, InputSchema
from fitq.schema import ArraySchema

#: The same requests each time, however slow the machine is.
_CALM = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
_COLUMNS = [
    Column(kind="number", name="age", nullable=True),
    Column(kind="string", name="city"),
    Column(kind="boolean", name="member"),
    Column(kind="integer", name="floor"),
]
EXAMPLE = {"age": 20.0, "city": "Rome", "member": True, "floor": 1}
RECORDS = ArraySchema(InputSchema(columns=_COLUMNS, example=[list(EXAMPLE.values())]))
TEXTS = ArraySchema(InputSchema(columns=[Column(kind="string")], layout="texts", example=["a text"]))
FRAME = PandasParameterType(pd.DataFrame([EXAMPLE]))
LIST = StandardPythonParameterType(["a text"])

_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3),
    st.sampled_from(["5.1", "nan", "true", "2024-02-30", [], {}, 2**53 + 1, 10**400, 1.0]),
)  # fmt: skip
_FITTING = {
    "age": st.none() | st.floats(-1e300, 1e300) | st.integers(-(2**53), 2**53),
    "city": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    "member": st.booleans(),
    "floor": st.integers(-(2**63), 2**63 - 1),
}


@st.composite
def _records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records that fit, now and then with a value or a column that does not."""
    rows = draw(st.lists(st.fixed_dictionaries(_FITTING), max_size=4))
    if rows and draw(st.booleans()):
        row, name = draw(st.sampled_from(rows)), draw(st.sampled_from([*EXAMPLE, "other"]))
        if draw(st.booleans()):
            row[name] = draw(_ODD)
        else:
            row.pop(name, None)
    return rows


@settings(_CALM, max_examples=100)
@given(rows=_records())
def test_records_that_are_accepted_are_what_the_pandas_type_makes_of_them(rows: list[dict[str, Any]]) -> None:
    try:
        ours = RECORDS.check(copy.deepcopy(rows)).columns
    except InputRejected:
        event("refused")
        return
    event("accepted")
    theirs = FRAME.deserialize_input(copy.deepcopy(rows))  # raises what it refuses
    age, *others = ours
    # pandas' own reader of JSON is a last digit or two off
    expected = np.array(age, dtype=float)
    assert np.allclose(theirs["age"].to_numpy(), expected, rtol=1e-14, atol=0, equal_nan=True)
    assert [theirs[name].tolist() for name in ("city", "member", "floor")] == others


@settings(_CALM, max_examples=100)
@given(rows=st.lists(st.text(max_size=5), max_size=4) | st.lists(_ODD, max_size=3) | _ODD)
def test_texts_that_are_accepted_are_what_the_standard_type_makes_of_them(rows: Any) -> None:
    try:
        (ours,) = TEXTS.check(copy.deepcopy(rows)).columns
    except InputRejected:
        return
    assert LIST.deserialize_input(copy.deepcopy(rows)) == ours


@pytest.mark.parametrize(
    ("column", "cell"),
    [("floor", 1.0), ("floor", 1.5), ("floor", "1"), ("floor", True), ("age", "5.1"), ("age", True),
     ("age", 2**53 + 1), ("member", 1), ("member", "yes"), ("city", 5), ("city", None)],
)  # fmt: skip
def test_what_the_pandas_type_converts_with_loss_is_refused(column: str, cell: object) -> None:
    rows = [{**EXAMPLE, column: cell}]
    FRAME.deserialize_input(copy.deepcopy(rows))  # lets it through
    with pytest.raises(InputRejected) as caught:
        RECORDS.check(rows)
    assert caught.value.data["at"].endswith(f"({column})")


@pytest.mark.parametrize("rows", ["a text", None, 5, {"text": "a"}])
def test_what_the_standard_type_refuses_is_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="Invalid input data type"):
        LIST.deserialize_input(rows)
    with pytest.raises(InputRejected):
        TEXTS.check(rows)
