"""What scoring says of itself, for models of every kind: judged by validators that know nothing of it."""

from __future__ import annotations

import copy
import functools
from typing import Any

import openapi_schema_validator
import openapi_spec_validator
import pytest
from bodies_lab.asks import spoiled_rows
from bodies_lab.kinds import Kind, kinds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fitq.errors import InputRejected
from fitq.schema import ArraySchema
from fitq.scoring.input_schema import input_schema
from fitq.scoring.schema_words import Words
from tests.scoring.conftest import Scoring

#: The same requests each time, however slow the machine is.
_CALM = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
VERSIONS = ("2", "3", "3.1")


def faults(schema: dict[str, Any], value: object, version: str) -> list[str]:
    """What is wrong with a value, in the words of the version's own JSON Schema."""
    if version == "3.1":
        validator: Any = openapi_schema_validator.OAS31Validator(schema)
    else:  # 3.0's is the JSON Schema of 2.0, with a word for null
        validator = openapi_schema_validator.OAS30Validator(_with_null(schema))
    return [e.message for e in validator.iter_errors(value)]


def _with_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_null(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    return {("nullable" if name == "x-nullable" else name): _with_null(s) for name, s in schema.items()}


def document(served: Scoring, kind: Kind, version: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and its schemas."""
    found = served.get(f"/models/{kind.name}/swagger.json?version={version}").json()
    return found, found["definitions"] if version == "2" else found["components"]["schemas"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_document_is_valid_and_its_example_scores(served: Scoring, version: str) -> None:
    for kind in kinds():
        found, schemas = document(served, kind, version)
        openapi_spec_validator.validate(found)
        example = schemas["ServiceInput"]["example"]
        assert served.score(kind.name, example["data"]) == schemas["ServiceOutput"]["example"]
        assert faults(schemas["ServiceInput"], example, version) == [], kind.name


@pytest.mark.parametrize("version", VERSIONS)
def test_every_method_that_the_document_lists_answers_as_it_says(served: Scoring, version: str) -> None:
    for kind in kinds():
        _, schemas = document(served, kind, version)
        for method in _listed_methods(schemas):
            answer = served.score(kind.name, kind.rows, method=method)
            assert faults(schemas["ServiceOutput"], answer, version) == [], (kind.name, method)
            for wrong in ({"predictions": answer}, [], [[[[[None]]]]], [{"of": "none"}]):
                found = faults(schemas["ServiceOutput"], wrong, version)
                assert found or version == "2", (kind.name, method, wrong)


def _listed_methods(schemas: dict[str, Any]) -> list[str]:
    told = schemas["ServiceInput"]["properties"]["method"]
    return told["enum"] if "enum" in told else told["anyOf"][0]["enum"]


def test_null_in_an_answer_is_said(served: Scoring) -> None:
    schemas = document(served, kinds()[0], "3.1")[1]
    huge = served.score("array", [[1e308] * 4], method="predict_log_proba")
    assert None in huge[0]
    assert faults(schemas["ServiceOutput"], huge, "3.1") == []


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_by_place_and_by_name_are_said(version: str) -> None:
    """Version 2 has no words for two forms: it says that of its example."""
    for kind in kinds():
        forms = [kind.rows]
        if kind.names:
            forms.append([dict(zip(kind.names, row, strict=True)) for row in kind.rows])
        schema = _rows_schema(kind, version)
        found = [faults(schema, rows, version) for rows in forms]
        assert not any(found) or (version == "2" and not all(found)), (kind.name, found)


@functools.cache
def _checks(kind_name: str) -> ArraySchema:
    (told,) = [k.facts().input_schema for k in kinds() if k.name == kind_name]
    assert told is not None
    return ArraySchema(told)


def _rows_schema(kind: Kind, version: str) -> dict[str, Any]:
    return input_schema(_checks(kind.name), Words(version), 100)


def _beyond_words(kind: Kind, rows: Any) -> bool:
    """JSON Schema takes 1.0 for a whole number, and does not know which integers a float holds."""
    if isinstance(rows, list):
        return any(_beyond_words(kind, inner) for inner in rows)
    if isinstance(rows, dict):
        return any(_beyond_words(kind, inner) for inner in rows.values())
    is_number = isinstance(rows, int | float) and not isinstance(rows, bool)
    if not is_number:
        return False
    return rows != rows or abs(rows) >= 2**53 or (isinstance(rows, float) and rows.is_integer())


@settings(_CALM, max_examples=300)
@given(data=st.data(), kind=st.sampled_from(kinds()), version=st.sampled_from(["3", "3.1"]))
def test_the_document_takes_the_rows_that_the_model_takes(data: Any, kind: Kind, version: str) -> None:
    rows = data.draw(spoiled_rows(copy.deepcopy(kind.rows)))
    if kind.names and data.draw(st.booleans()):
        rows = [dict(zip(kind.names, r, strict=False)) if isinstance(r, list) else r for r in rows]
    checks = _checks(kind.name)
    try:
        checks.check(copy.deepcopy(rows))
    except InputRejected:
        is_taken = False
    else:
        is_taken = True
    is_said = not faults(_rows_schema(kind, version), rows, version)
    is_less_exact = version == "3" and len({(c.kind, c.nullable) for c in checks.schema.columns}) > 1
    assert is_said or not is_taken, "it is taken, though the document refuses it"
    assert is_taken or not is_said or is_less_exact or _beyond_words(kind, rows), "the document takes it"
