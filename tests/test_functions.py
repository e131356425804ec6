"""Training functions: what a signature promises and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from fitq import RunContext, function
from fitq.errors import InvalidParameters, InvalidRequest
from fitq.functions import check_parameters, described, parse_parameter, signature_text
from fitq.records import FunctionRecord


@function(pool="cpu")
def train(
    run: RunContext, depth: int, penalty: float = 1.0, kernel: Literal["rbf", "linear"] = "rbf",
    verbose: bool = False, note: str | None = None,
) -> None:  # fmt: skip
    """Train something."""


@pytest.fixture
def record() -> FunctionRecord:
    found = described(train)
    assert found is not None
    return found


def test_the_signature_is_the_contract(record: FunctionRecord) -> None:
    assert (record.name, record.pool, record.description) == ("train", "cpu", "Train something.")
    assert [(p.name, p.type, p.required, p.default) for p in record.parameters] == [
        ("depth", "int", True, None),
        ("penalty", "float", False, 1.0),
        ("kernel", "str", False, "rbf"),
        ("verbose", "bool", False, False),
        ("note", "any", False, None),
    ]
    assert signature_text(record).startswith("depth: int, penalty: float = 1.0")


def test_good_parameters_pass_and_integers_widen(record: FunctionRecord) -> None:
    given = check_parameters(record, {"depth": 3, "penalty": 2, "note": None})
    assert given == {"depth": 3, "penalty": 2.0, "note": None}
    assert isinstance(given["penalty"], float)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "'depth' is missing"),
        ({"depth": 1, "penlty": 1}, "'penlty' is unknown. Did you mean 'penalty'?"),
        ({"depth": "3"}, "'depth' must be int, not '3'"),
        ({"depth": 1.5}, "'depth' must be int, not 1.5"),
        ({"depth": True}, "'depth' must be int, not True"),
        ({"depth": 1, "penalty": True}, "'penalty' must be float"),
        ({"depth": 1, "penalty": None}, "'penalty' must be float, not None"),
        ({"depth": 1, "kernel": "poly"}, "'kernel' must be one of ['rbf', 'linear']"),
        ({"depth": 1, "verbose": 1}, "'verbose' must be bool"),
    ],
)
def test_wrong_parameters_are_named(record: FunctionRecord, given: dict, named: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidParameters) as caught:
        check_parameters(record, given)
    assert named in caught.value.message
    assert "depth: int" in caught.value.hint


def test_a_function_without_a_run_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="first parameter"):
        function(lambda: None)
    with pytest.raises(TypeError, match="name each parameter"):

        @function
        def many(run: RunContext, *rows: float) -> None: ...


def test_a_default_that_json_has_not_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="the default of rows is a list; give a number"):

        @function
        def many(run: RunContext, rows: list[int] = []) -> None: ...  # noqa: B006


def test_a_name_that_cannot_be_called_is_told_when_it_is_looked_at() -> None:
    @function(name="two words")
    def odd(run: RunContext) -> None: ...

    with pytest.raises(InvalidRequest, match="'two words' is not a valid function name"):
        described(odd)


def test_command_line_text_becomes_the_declared_type(record: FunctionRecord) -> None:
    assert parse_parameter(record, "depth", "3") == 3
    assert parse_parameter(record, "penalty", "1e-3") == 0.001
    assert parse_parameter(record, "verbose", "true") is True
    assert parse_parameter(record, "kernel", "rbf") == "rbf"
    assert parse_parameter(record, "depth", "three") == "three"  # the check then names it


def test_an_input_that_the_run_was_not_given_is_said_with_those_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQ_INPUTS", '{"flowers": "/data/iris.csv"}')
    inputs = RunContext(tmp_path).inputs
    assert inputs == {"flowers": Path("/data/iris.csv")}
    assert inputs.get("trees") is None
    with pytest.raises(
        KeyError, match=r"no input trees; the run takes: flowers\. It is given with --input trees=DATA"
    ):
        inputs["trees"]
