"""Commands to copy do in a shell what the page says, whatever the names are."""

from __future__ import annotations

import json
import shlex

import pytest

from fitq.backend import Backend
from fitq.dashboard import commands
from fitq.records import ArtifactRecord, FunctionRecord, InputSchema, ModelRecord, Parameter, now
from tests.dashboard.samples import IRIS, submitted


def files(*paths: str) -> list[ArtifactRecord]:
    return [ArtifactRecord(path=p, size_bytes=1) for p in paths]


def test_registering_prefers_the_file_that_looks_like_a_model(memory_backend: Backend) -> None:
    run = submitted(memory_backend)
    found = commands.register(run, files("logs/a.joblib", "outputs/report.html", "outputs/clf.pkl"))
    assert found == f"fitq models register iris --run {run.id} --path outputs/clf.pkl"
    assert commands.register(run, files("outputs/net.bin")).endswith("--path outputs/net.bin")
    assert commands.register(run, files("user_logs/std_log.txt")) == ""
    assert commands.register(run, files("outputs/\x1b[31m.joblib", "outputs/a\nb.joblib")) == ""
    hostile = commands.register(run, files("outputs/$(rm -rf ~)'`x`.joblib"))
    assert shlex.split(hostile)[-1] == "outputs/$(rm -rf ~)'`x`.joblib"


def test_every_required_parameter_stands_in_a_call() -> None:
    function = FunctionRecord(
        name="digits",
        pool="default",
        parameters=[
            Parameter(name="epochs", type="int", required=True),
            Parameter(name="kind", type="str", required=True, choices=["a b", "c"]),
            Parameter(name="flag", type="bool", required=False, default=True),
            Parameter(name="more", type="int", required=False, default=3),
        ],
    )
    assert commands.call(function) == (
        "fitq call digits --parameter epochs=INT --parameter 'kind=a b' --parameter flag=true --follow"
    )
    assert commands.call(IRIS) == "fitq call iris --parameter kernel=rbf --follow"


def model(example: list[object]) -> ModelRecord:
    return ModelRecord(
        name="m", version=2, created_at=now(), path="p", sha256="0" * 64, size_bytes=1, object_key="k",
        input_schema=InputSchema(columns=[], example=example),
    )  # fmt: skip


@pytest.mark.parametrize("row", [[1.5, 2], ['it\'s "quoted" $HOME `x`'], "a text\nof two lines", {"a": None}])
def test_a_curl_carries_the_example_unchanged(row: object) -> None:
    words = shlex.split(commands.score("http://h:1", model([row, row])))
    assert words[:3] == ["curl", "-sS", "http://h:1/models/m/score"]
    assert "Authorization: Bearer $FITQ_TOKEN" in words
    assert json.loads(words[-1]) == {"data": [row]}


def test_there_is_no_curl_without_a_true_row() -> None:
    assert commands.score("http://h:1", model([])) == ""
    assert commands.score("http://h:1", model([["x" * 9000]])) == ""
    assert "/models/m/versions/2/score" in commands.score("http://h:1", model([[1]]), pinned=True)
