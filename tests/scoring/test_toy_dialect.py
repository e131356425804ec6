"""A wire format is one value: whatever reads, decides and writes for all of them knows none by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

import fitq.scoring
from fitq.schema import ArraySchema
from fitq.scoring.access import a_model
from fitq.scoring.dialects.form import (
    Accepted,
    Asked,
    Dialect,
    Framing,
    Input,
    QuickReader,
    Reply,
    Table,
    Written,
)
from fitq.scoring.door import Door
from fitq.scoring.score import scoring as scores
from tests.scoring.conftest import Scoring, assert_one_error_shape, running

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.8, 1.8]]
quickly_read: list[bytes] = []


def read(body: dict[str, Any]) -> Input:
    return Input(
        [[float(v) for v in row.split("-")] for row in body["toys"]], "$.toys", method=body.get("how")
    )


def quick(schema: ArraySchema) -> QuickReader:
    def read(body: bytes) -> Asked | None:
        quickly_read.append(body)
        rows = [[float(v) for v in body[9:-2].decode().split("-")]] if body.count(b"-") == 3 else None
        return Asked(schema.check(rows), body="quick") if rows else None

    return read


def write(predictions: Any, reply: Reply) -> Written:
    text = "/".join(str(p) for p in predictions.tolist())
    return Written(f"{reply.method}:{text}".encode(), "text/toy", [(b"x-toy", str(reply.request).encode())])


def lines(body: bytes, schema: ArraySchema, content_type: str) -> Input:
    assert content_type == "text/lines; of=toys"
    return Input([[float(v) for v in line.split()] for line in body.decode().splitlines()], "$")


TOY = Dialect(
    "toys", read, write, fields=("how",), quick=quick,
    framing=Framing("x-toy-framing", lambda body, told: {"toys": body.decode().split(told)}),
)  # fmt: skip
LINES = Table("text/lines", lines, lambda predictions: "\n".join(map(str, predictions.tolist())).encode())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, iris: Any) -> Iterator[Scoring]:
    for scoring in running(tmp_path_factory.mktemp("models")):
        scoring.register("iris", iris)
        door = Door(scores(Accepted((TOY,), (LINES,), TOY)), locate=a_model, verbs="POST")
        app: Any = scoring.client.app
        app.routes.append(Route("/toys/{model}", door))
        yield scoring


def toys(*rows: list[float]) -> list[str]:
    return ["-".join(map(str, row)) for row in rows]


def test_a_dialect_is_read_and_written_by_its_own_functions(served: Scoring) -> None:
    answer = served.post("/toys/iris", {"toys": toys(*ROWS), "how": "predict"})
    assert (answer.text, answer.headers["content-type"]) == ("predict:0/2", "text/toy")
    assert answer.headers["x-fitq-model"] == "iris:1"
    told = assert_one_error_shape(served.post("/toys/iris", {"data": ROWS}), 400)
    assert told["message"] == "A value is not provided for the 'toys' parameter."
    told = assert_one_error_shape(served.post("/toys/iris", {"toys": ["1-2-3"]}), 400)
    assert told["path"] == "$.toys[0]"


def test_a_dialects_quick_reader_comes_first(served: Scoring) -> None:
    quickly_read.clear()
    body = b'{"toys":"%s"}' % toys(ROWS[0])[0].encode()
    answer = served.post("/toys/iris", content=body, headers={"content-type": "application/json"})
    assert answer.headers["x-toy"] == "quick"
    assert quickly_read == [body]


def test_a_dialects_framing_is_told_by_its_header(served: Scoring) -> None:
    content = "|".join(toys(*ROWS)).encode()
    answer = served.post("/toys/iris?method=predict", content=content, headers={"x-toy-framing": "|"})
    assert answer.text == "predict:0/2"


def test_a_table_is_told_by_its_media_type_and_asked_for_with_accept(served: Scoring) -> None:
    content = "\n".join(" ".join(map(str, row)) for row in ROWS)
    headers = {"content-type": "text/lines; of=toys"}
    assert served.post("/toys/iris?method=predict", content=content, headers=headers).text == "predict:0/2"
    headers["accept"] = "text/lines"
    answer = served.post("/toys/iris?method=predict", content=content, headers=headers)
    assert (answer.text, answer.headers["content-type"]) == ("0\n2", "text/lines")
    refused = served.post("/toys/iris", content=content, headers={"content-type": "text/csv"})
    assert assert_one_error_shape(refused, 415)["expected"] == "application/json or text/lines"


def test_only_the_list_of_addresses_names_a_wire_format() -> None:
    folder = Path(fitq.scoring.__path__[0])
    shared = {"form", "choose", "addresses", "arrays", "tensors"}
    formats = {f.stem for f in (folder / "dialects").glob("*.py")} - shared - {"__init__"}
    for file in [*folder.glob("*.py"), folder / "dialects" / "choose.py", folder / "dialects" / "form.py"]:
        named = {
            name
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fitq.scoring.dialects")
            for name in (*str(node.module).split("."), *(a.name for a in node.names))
        }
        assert not named & formats, file.name
