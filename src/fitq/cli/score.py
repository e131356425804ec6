"""`fitq score`: rows in, predictions out."""

from __future__ import annotations

import shlex
from typing import Any

import click
import msgspec

from fitq.cli.commands import command, json_option
from fitq.cli.connect import platform
from fitq.cli.given import json_or_file, model_and_version
from fitq.cli.output import next_step, result, result_json, say
from fitq.errors import InvalidRequest
from fitq.sdk.client import Client


@command(
    "score",
    "fitq score iris",
    "fitq score iris:3 --data '[[5.1, 3.5, 1.4, 0.2]]'",
    "fitq score iris --data rows.json --method predict",
)
@click.argument("model")
@click.option(
    "--data",
    metavar="JSON_OR_FILE",
    help="Rows, a whole body, a file of either, or - for standard input.  [default: the model's example]",
)
@click.option("--method", help="Instead of the model's own: predict, predict_proba, decision_function, …")
@json_option
def score(model: str, data: str | None, method: str | None, as_json: bool) -> None:
    """Score rows with a model.

    MODEL is a name (its newest version), NAME:VERSION or NAME:ALIAS. Prints JSON: one prediction a row.
    """
    name, version = model_and_version(model)
    with platform() as client:
        body = _body(client, name, version, json_or_file("--data", data) if data is not None else None)
        if method:
            body = {**body, "method": method}
        answer = client.score(name, body, version)
    if as_json:
        result_json(answer)
    else:
        result(msgspec.json.encode(answer).decode())
    next_step(_curl(client, name, version, body), "(FITQ_TOKEN: fitq_token in .fitq/config.json)")


def _body(client: Client, name: str, version: str | None, given: Any) -> Any:
    """What is sent: rows as `data`, but to an entry script of SageMaker's kind as they are; else the example.

    Raises:
        InvalidRequest: no example is known.
    """
    if isinstance(given, dict):
        return given
    model = client.get_model(name, version)
    if given is not None:
        return given if model.entry is not None and model.entry.kind == "sagemaker" else {"data": given}
    body = model.example_body
    if body is None:
        raise InvalidRequest(
            f"Model {name!r} has no example.", hint="Give rows: --data '[[5.1, 3.5, 1.4, 0.2]]'"
        )
    shown = body["data"] if isinstance(body, dict) and set(body) == {"data"} else body
    say(f"Scoring the model's own example: {msgspec.json.encode(shown).decode()}")
    return body


def _curl(client: Client, name: str, version: str | None, body: Any) -> str:
    pinned = f"/versions/{version}" if version else ""
    text = msgspec.json.encode(body).decode()
    shown = text if len(text) <= 200 else '{"data": […]}'
    return (
        f'curl {client.scoring_url}/models/{name}{pinned}/score -H "Authorization: Bearer $FITQ_TOKEN" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(shown)}"
    )
