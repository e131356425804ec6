"""The strict door: what fits, what does not, and that inference-schema agrees."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType

from fitq.errors import InputRejected
from fitq.records import Column, InputSchema
from fitq.schema import ArraySchema

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
IRIS = ArraySchema(
    InputSchema(columns=[Column(kind="number", name=n) for n in NAMES], example=[[1, 2, 3, 4]])
)
PLAIN = ArraySchema(InputSchema(columns=[Column(kind="number")] * 2, example=[[1.0, 2.0]]))
WHOLE = ArraySchema(InputSchema(columns=[Column(kind="integer")] * 2, example=[[1, 2]]))
TEXTS = ArraySchema(InputSchema(columns=[Column(kind="string")], layout="texts", example=["a text"]))
MIXED = ArraySchema(
    InputSchema(
        columns=[
            Column(kind="number", name="age", nullable=True),
            Column(kind="string", name="city"),
            Column(kind="boolean", name="member"),
            Column(kind="integer", name="floor"),
        ],
        example=[[20.0, "Rome", True, 1]],
    )
)


def refused(schema: ArraySchema, rows: object, **given: Any) -> InputRejected:
    with pytest.raises(InputRejected) as caught:
        schema.check(rows, **given)
    assert {"expected", "got", "at"} <= caught.value.data.keys()
    return caught.value


GOOD = [5.1, 3.5, 1.4, 0.2]


@pytest.mark.parametrize(
    ("cell", "got"),
    [
        ("5.1", 'the string "5.1"'),
        (True, "true"),
        (None, "null"),
        (2**53 + 1, "the number 9007199254740993"),
        (-(2**53) - 1, "the number -9007199254740993"),
        (10**400, "the number a huge integer"),
        (math.nan, "the number nan"),
        (math.inf, "the number inf"),
        ([1], "the list [1]"),
        ({}, "the object {}"),
    ],
)
def test_a_lossy_cell_is_refused_by_row_and_column(cell: object, got: str) -> None:
    error = refused(IRIS, [GOOD, GOOD, [5.1, 3.5, 1.4, cell]])
    assert error.data["at"] == "row 2, column 3 (petal_width)"
    assert error.data["got"] == got
    assert error.data["expected"].startswith("a number")
    assert error.data["path"] == "$.data[2][3]"


@pytest.mark.parametrize(
    ("rows", "at"),
    [
        ([GOOD, [1, 2, 3]], "row 1"),
        ([GOOD, [1, 2, 3, 4, 5]], "row 1"),
        ([GOOD, []], "row 1"),
        ([[GOOD]], "row 0"),
        (GOOD, "row 0"),
        ([], "row 0"),
        ([[]], "row 0"),
        ({"data": GOOD}, "$.data"),
        ("rows", "$.data"),
        (None, "$.data"),
        (5, "$.data"),
        ([GOOD, None], "row 1"),
        ([GOOD, "row"], "row 1"),
    ],
)
def test_a_wrong_shape_is_refused(rows: object, at: str) -> None:
    assert refused(IRIS, rows).data["at"] == at


@pytest.mark.parametrize(
    ("sample", "kind", "given", "changed"),
    [
        (1.0, "number", "5.1", 5.1),
        (1.0, "number", None, math.nan),
        (1.0, "number", True, 1.0),
        (1.0, "number", 2**53 + 1, float(2**53)),
        (1, "integer", 1.5, 1),
        (1, "integer", "5", 5),
        (1, "integer", False, 0),
        (True, "boolean", "no", True),
        ("Rome", "string", 5, "5"),
    ],
)
def test_what_inference_schema_changes_without_a_word_is_refused(
    sample: Any, kind: str, given: Any, changed: Any
) -> None:
    theirs = NumpyParameterType(np.array([[sample, sample]])).deserialize_input([[sample, given]])
    np.testing.assert_equal(theirs.tolist()[0][1], changed)
    ours = ArraySchema(InputSchema(columns=[Column(kind=kind)] * 2, example=[[sample, sample]]))  # type: ignore[arg-type]
    assert refused(ours, [[sample, given]]).data["at"] == "row 0, column 1"


def test_a_text_that_inference_schema_cuts_is_passed_whole() -> None:
    text = "Llanfairpwllgwyngyll"
    theirs = NumpyParameterType(np.array([["Rome"]], dtype="U16")).deserialize_input([[text]])
    assert theirs.tolist() == [[text[:16]]]
    ours = ArraySchema(InputSchema(columns=[Column(kind="string")], example=[["Rome"]]))
    assert ours.check([[text]]).columns == [[text]]


def test_integers_are_numbers() -> None:
    rows = IRIS.check([[5, 3, 1, 2**53]])
    assert rows.matrix is not None
    assert rows.matrix.dtype == np.float64
    assert rows.matrix.tolist() == [[5.0, 3.0, 1.0, float(2**53)]]


def test_a_large_float_and_an_exact_large_integer_pass() -> None:
    assert PLAIN.check([[1e300, 2**60]]).size == 1


@pytest.mark.parametrize("cell", [1.5, 1.0, True, "1", None, 2**63])
def test_an_integer_column_takes_nothing_else(cell: object) -> None:
    assert refused(WHOLE, [[1, cell]]).data["at"] == "row 0, column 1"


def test_an_integer_column_keeps_every_digit() -> None:
    rows = WHOLE.check([[2**53 + 1, -(2**63)]])
    assert rows.matrix is not None
    assert rows.matrix.tolist() == [[2**53 + 1, -(2**63)]]


def test_null_becomes_nan_where_the_column_takes_it() -> None:
    schema = ArraySchema(InputSchema(columns=[Column(kind="number", nullable=True), Column(kind="number")]))
    rows = schema.check([[None, 1]])
    assert rows.matrix is not None
    assert math.isnan(rows.matrix[0, 0])
    assert refused(schema, [[1, None]]).data["at"] == "row 0, column 1"
    assert refused(schema, [[math.inf, 1]]).data["at"] == "row 0, column 0"


def test_columns_of_several_kinds_travel_one_by_one() -> None:
    rows = MIXED.check([[20, "Rome" * 1000, True, 1], [None, "", False, 2]])
    assert rows.columns == [[20.0, None], ["Rome" * 1000, ""], [True, False], [1, 2]]


@pytest.mark.parametrize(
    ("row", "at"),
    [
        (["20", "Rome", True, 1], "row 0, column 0 (age)"),
        ([2**53 + 1, "Rome", True, 1], "row 0, column 0 (age)"),
        ([math.inf, "Rome", True, 1], "row 0, column 0 (age)"),
        ([20, 5, True, 1], "row 0, column 1 (city)"),
        ([20, None, True, 1], "row 0, column 1 (city)"),
        ([20, "Rome", 1, 1], "row 0, column 2 (member)"),
        ([20, "Rome", "true", 1], "row 0, column 2 (member)"),
        ([20, "Rome", True, 1.5], "row 0, column 3 (floor)"),
        ([20, "Rome", True, 2**63], "row 0, column 3 (floor)"),
        ([1e17, "Rome", True, 2**63], "row 0, column 3 (floor)"),
    ],
)
def test_a_wrong_cell_among_several_kinds_is_named(row: list[Any], at: str) -> None:
    assert refused(MIXED, [row]).data["at"] == at


def test_rows_by_name_are_the_same_rows() -> None:
    record = dict(zip(reversed(NAMES), reversed(GOOD), strict=True))
    by_name, by_place = IRIS.check([record]), IRIS.check([GOOD])
    assert by_name.matrix is not None
    assert by_name.matrix.tolist() == by_place.matrix.tolist()  # type: ignore[union-attr]


def test_a_missing_and_an_unknown_column_are_named() -> None:
    record = dict(zip(NAMES, GOOD, strict=True))
    del record["petal_width"]
    record["petal_widht"] = 0.2
    message = refused(IRIS, [record]).message
    assert "'petal_width' is missing" in message
    assert "'petal_widht' is unknown. Did you mean 'petal_width'" in message


def test_records_and_lists_do_not_mix() -> None:
    assert refused(IRIS, [dict(zip(NAMES, GOOD, strict=True)), GOOD]).data["at"] == "row 1"
    assert refused(IRIS, [GOOD, dict(zip(NAMES, GOOD, strict=True))]).data["at"] == "row 1"


def test_a_model_without_names_says_so() -> None:
    assert "no column names" in refused(PLAIN, [{"a": 1, "b": 2}]).message


def test_columns_named_beside_the_rows_are_put_in_order() -> None:
    rows = IRIS.check([[0.2, 1.4, 3.5, 5.1]], columns=list(reversed(NAMES)))
    assert rows.matrix is not None
    assert rows.matrix.tolist() == [GOOD]
    assert refused(IRIS, [[1, 2]], columns=NAMES[:2]).data["at"] == "columns"
    assert refused(IRIS, [GOOD], columns=[*NAMES[:3], NAMES[0]]).data["at"] == "columns"
    assert refused(IRIS, [[1, 2]], columns=NAMES).data["at"] == "row 0"


def test_columns_named_by_numbers_are_those_of_their_text() -> None:
    numbered = ArraySchema(InputSchema(columns=[Column(kind="number", name=n) for n in ("1", "2")]))
    rows = numbered.check([[20.0, 10.0]], columns=[2, 1])
    assert rows.matrix is not None
    assert rows.matrix.tolist() == [[10.0, 20.0]]
    refused(numbered, [[1.0, 2.0]], columns=[1, None])


def test_texts_are_whole_strings() -> None:
    assert TEXTS.check(["a" * 100_000]).columns == [["a" * 100_000]]
    assert refused(TEXTS, ["a", 5]).data["at"] == "row 1"
    assert refused(TEXTS, [["a"]]).data["at"] == "row 0"
    assert refused(TEXTS, []).data["at"] == "row 0"


def test_the_swagger_is_inference_schemas_with_the_true_example() -> None:
    assert IRIS.to_swagger() == {
        "type": "array",
        "items": {"type": "array", "items": {"type": "number", "format": "double"}},
        "format": "numpy.ndarray",
        "example": [[1, 2, 3, 4]],
    }
    mixed = MIXED.to_swagger()
    assert mixed["items"]["properties"]["member"] == {"type": "boolean"}
    assert mixed["example"] == [{"age": 20.0, "city": "Rome", "member": True, "floor": 1}]
    assert TEXTS.to_swagger()["items"] == {"type": "string"}


_CELLS = st.one_of(
    st.floats(), st.integers(), st.integers(-(2**70), 2**70), st.none(), st.booleans(), st.text(max_size=3),
    st.sampled_from(["5.1", "nan", 2**53 + 1, 10**400, [], [1.0], {}]),
)  # fmt: skip
_NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**55), 2**55))
_WILD = st.one_of(
    st.lists(st.lists(_CELLS, max_size=4), max_size=4),
    st.lists(_CELLS, max_size=3),
    st.lists(st.lists(_NUMBERS, min_size=2, max_size=2), max_size=5),
    _CELLS,
)


@settings(deadline=None, max_examples=400)
@given(rows=_WILD, schema=st.sampled_from([PLAIN, WHOLE]))
def test_what_is_accepted_is_what_inference_schema_makes_and_what_it_refuses_is_refused(
    rows: Any, schema: ArraySchema
) -> None:
    try:
        ours = schema.check(copy.deepcopy(rows)).matrix
    except InputRejected:
        return
    assert ours is not None
    sample = np.zeros((1, 2), dtype=ours.dtype)
    theirs = NumpyParameterType(sample).deserialize_input(copy.deepcopy(rows))
    assert theirs.dtype == ours.dtype
    assert np.array_equal(theirs, ours)


@settings(deadline=None, max_examples=200)
@given(rows=st.lists(st.lists(_NUMBERS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_numbers_that_a_float_holds_are_accepted(rows: list[list[float]]) -> None:
    holds = all(float(v) == v for row in rows for v in row)
    if not holds:
        refused(PLAIN, rows)
        return
    checked = PLAIN.check(copy.deepcopy(rows))
    assert checked.matrix is not None
    assert checked.matrix.tolist() == rows
