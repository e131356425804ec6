"""Bodies of every kind, right and wrong, for models of every kind: nothing is our fault, all is explained."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from bodies_lab.asks import asks
from bodies_lab.forms import FORMS, Ask
from bodies_lab.kinds import kinds
from hypothesis import HealthCheck, given, settings

from tests.scoring.conftest import TOKEN, Scoring, assert_explained, assert_one_error_shape


def predictions(answer: Any) -> Any:
    """What an answer says of each row, in whatever form."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    if isinstance(told, list):
        return told
    if "predictions" in told:
        return told["predictions"]
    tensor = told["outputs"][0]
    values = np.array(tensor["data"], dtype=object).reshape(tensor["shape"]).tolist()
    is_json = tensor["datatype"] == "BYTES" and tensor["data"][0].startswith("[")
    return [json.loads(v) for v in values] if is_json else values


#: How often a kind's rows are repeated: large bodies are read otherwise.
TIMES = (1, 30)


@pytest.fixture(scope="module")
def expected(served: Scoring) -> dict[tuple[str, int], Any]:
    """What the usual body is answered; that this is what the model says is tested elsewhere."""
    return {(k.name, times): served.score(k.name, k.rows * times) for k in kinds() for times in TIMES}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_give_the_same_predictions_in_every_form(
    served: Scoring, expected: dict[tuple[str, int], Any], form: str
) -> None:
    for kind in kinds():
        for times in TIMES:
            asked = FORMS[form](kind, kind.rows * times)
            answer = served.post(asked.path, content=asked.content, headers=asked.headers)
            assert predictions(answer) == expected[kind.name, times], kind.name


@pytest.mark.parametrize("form", [f for f in FORMS if not f.startswith(("tensors", "binary"))])
def test_answers_are_written_as_tables_where_those_are_asked_for(served: Scoring, form: str) -> None:
    kind = next(k for k in kinds() if k.name == "people")
    expected = served.score(kind.name, kind.rows)
    asked = FORMS[form](kind, kind.rows)
    for accept in ("text/csv", "application/x-npy"):
        answer = served.post(asked.path, content=asked.content, headers={**asked.headers, "accept": accept})
        assert answer.headers["content-type"] == accept
        if accept == "text/csv":
            assert [list(map(float, line.split(","))) for line in answer.text.splitlines()] == expected
        else:
            assert np.load(io.BytesIO(answer.content)).tolist() == expected


@pytest.mark.parametrize("form", FORMS)
def test_another_method_is_asked_for_in_every_form(served: Scoring, form: str) -> None:
    kind = next(k for k in kinds() if k.name == "array")
    expected = served.score(kind.name, kind.rows, method="predict")
    asked = FORMS[form](kind, kind.rows)
    path, content = asked.path, asked.content
    if form.startswith("tensors"):
        content = content[:-1] + b', "outputs": [{"name": "predict"}]}'
    elif form == "mlflow params":
        content = content.replace(b'"params": {}', b'"params": {"method": "predict"}')
    elif content.startswith(b'{"') and form != "binary":
        content = content[:-1] + b', "method": "predict"}'
    else:
        path += "?method=predict"
    by_path = served.post(f"{asked.path}?method=predict", content=asked.content, headers=asked.headers)
    assert predictions(by_path) == expected
    assert predictions(served.post(path, content=content, headers=asked.headers)) == expected


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(ask=asks(kinds()))
def test_whatever_is_sent_is_answered_or_explained_with_a_command_that_scores(
    served: Scoring, ask: Ask
) -> None:
    """`scripts/bench scoring_bodies` asks the same for as long as one likes."""
    headers = {name: value.encode("latin-1") for name, value in ask.headers.items()}
    authorized = {**headers, "authorization": f"Bearer {TOKEN}".encode()}
    answer = served.client.post(ask.path, content=ask.content, headers=authorized)  # type: ignore[arg-type]
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert_one_error_shape(answer, answer.status_code)
        assert_explained(served, answer)
