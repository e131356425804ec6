"""The page on what models answer is followed: models are fitted, bodies posted, answers compared."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import msgspec
import pytest

from fitq.scorer import child
from fitq.scorer.facts import ModelFacts
from tests.scoring.conftest import Scoring, running
from tests.scoring.test_swagger import faults

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "answers.md"
SETUP, *SECTIONS = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    yield from running(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's first block defines."""
    found: dict[str, Any] = {}
    exec(_python(SETUP), found)
    return found


def _python(section: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


@pytest.mark.parametrize("section", SECTIONS, ids=[s.partition("\n")[0] for s in SECTIONS])
def test_models_answer_what_the_page_says(
    section: str, names: dict[str, Any], scoring: Scoring, tmp_path: Path
) -> None:
    found = dict(names)
    exec(_python(section), found)
    name = f"model-{SECTIONS.index(section)}"
    _keep(scoring, name, found["model"], found.get("sample_input"), tmp_path)
    document = scoring.get(f"/models/{name}/swagger.json?version=3.1").json()
    asked = re.findall(r"^(\{.*\})\n→ (.*)$", section, re.MULTILINE)
    assert len(asked) == section.count("→") > 0
    for body, answer in asked:
        got = scoring.score(name, **_fields(json.loads(body)))
        assert _near(got, json.loads(answer)), (body, got)
        assert faults(document["components"]["schemas"]["ServiceInput"], json.loads(body), "3.1") == []
        assert faults(document["components"]["schemas"]["ServiceOutput"], got, "3.1") == []


def _keep(scoring: Scoring, name: str, model: Any, sample_input: Any, folder: Path) -> None:
    """As registration does, looked into in this process: these models are our own."""
    path = folder / "model.joblib"
    joblib.dump(model, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = child.facts(child.Loaded(model, []), sample_input)
    scoring.keep(name, path.read_bytes(), msgspec.convert(told, type=ModelFacts))


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    return {"rows": body.pop("data"), **body}


def _near(got: Any, said: Any) -> bool:
    """Equal, numbers to the digits of the page."""
    if isinstance(got, list) and isinstance(said, list):
        return len(got) == len(said) and all(map(_near, got, said))
    if isinstance(got, float) and isinstance(said, int | float):
        return got == pytest.approx(said, abs=0.002)
    return type(got) is type(said) and bool(got == said)
