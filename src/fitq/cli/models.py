"""`fitq models`: list, show, download, alias, approve, delete; `register` is in a file of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.given import model_and_version
from fitq.cli.model_page import print_model
from fitq.cli.output import next_step, pairs_text, result, result_json, say, short_time, table
from fitq.cli.register import register
from fitq.errors import InvalidRequest
from fitq.records import ChangeRequest, to_builtins
from fitq.sdk.answers import ModelSummary


@group(
    "models",
    "fitq models list",
    "fitq models register iris --run iris-k3f9x2ma --path outputs/model.joblib",
    "fitq models show iris:1",
)
def models() -> None:
    """Register, list, show and download models."""


@command("list", "fitq models list", "fitq models list --json", "fitq models show iris")
@json_option
def list_(as_json: bool) -> None:
    """List models with their newest version and aliases."""
    with platform() as client:
        found = client.list_models()
    if as_json:
        result_json([to_builtins(m) for m in found])
        return
    table(["MODEL", "NEWEST", "ALIASES", "ESTIMATOR", "REGISTERED", "FROM RUN"], [_row(m) for m in found])
    if not found:
        next_step("fitq models register NAME --run RUN --path outputs/model.joblib")


def _row(model: ModelSummary) -> tuple[Any, ...]:
    newest = model.latest
    details = (newest.estimator, short_time(newest.created_at), newest.run) if newest else ("", "", "")
    return (model.name, model.latest_version, pairs_text(model.aliases), *details)


@command("show", "fitq models show iris", "fitq models show iris:1", "fitq models show iris:champion --json")
@click.argument("model")
@json_option
def show(model: str, as_json: bool) -> None:
    """Show a model, or one version or alias of it, with what it takes."""
    name, version = model_and_version(model)
    with platform() as client:
        summary = client.get_model_summary(name)
        record = client.get_model(name, version or summary.latest_version)
    if as_json:
        result_json(to_builtins(record if version else summary))
        return
    print_model(record, summary)
    next_step(f"fitq score {record.id}")


@command(
    "download",
    "fitq models download iris",
    "fitq models download iris:1 --to models/iris.joblib",
    "fitq models download iris:champion",
)
@click.argument("model")
@click.option("--to", type=click.Path(path_type=Path), help="File or folder.  [default: this folder]")
def download(model: str, to: Path | None) -> None:
    """Download a model's file; prints where it is now."""
    name, version = model_and_version(model)
    with platform() as client:
        record = client.get_model(name, version)
        target = to or Path()
        if target.is_dir():
            target = target / Path(record.path).name
        result(str(client.download_model(record.name, record.version, target)))


@command(
    "alias",
    "fitq models alias iris champion 3",
    "fitq models alias iris challenger 4",
    "fitq score iris:champion",
)
@click.argument("name")
@click.argument("alias")
@click.argument("version", type=int)
def alias(name: str, alias: str, version: int) -> None:
    """Let an alias point to a version of a model."""
    with platform() as client:
        answer = client.set_alias(name, alias, version)
    result(f"{answer.name}:{answer.alias} = {answer.name}:{answer.version}")
    next_step(f"fitq score {name}:{alias}")


@command(
    "approve",
    "fitq models approve iris:3",
    "fitq models approve iris:3 --undo",
    "fitq models approve --file model.joblib",
)
@click.argument("model", required=False)
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file that may be registered whatever it imports when it is loaded.",
)
@click.option("--undo", is_flag=True, help="Hold it to its recorded answers again.")
def approve(model: str | None, file: Path | None, undo: bool) -> None:
    """Serve a version although it answers otherwise than when it was registered, or trust a file.

    The answers of such a version carry a warning, and so does everything that shows the model. A file that
    is trusted runs its author's code when it is loaded, in a process without credentials.
    """
    if (model is None) == (file is None) or (file is not None and undo):
        raise InvalidRequest("Name one thing to approve.", hint="Give MODEL:VERSION, or --file FILE.")
    if model is None:
        assert file is not None
        _approve_file(file)
        return
    name, version = _exact(model)
    with platform() as client:
        record = client.change_model(name, version, ChangeRequest(tolerated=not undo))
    result(record.id)
    say("It answers only as recorded." if undo else "It is served whatever it answers.")
    next_step(f"fitq score {record.id}", f"fitq models show {record.id}")


def _approve_file(file: Path) -> None:
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    with platform() as client:
        client.approve_file(sha256)
    result(sha256)
    next_step(f"fitq models register NAME --file {file}")


@command("delete", "fitq models delete iris:3", "fitq models delete iris --all", "fitq models list")
@click.argument("model")
@click.option("--all", "every", is_flag=True, help="Every version of the model, and its aliases.")
def delete(model: str, every: bool) -> None:
    """Delete a version of a model, or all of it. Numbers are not used again."""
    if every and ":" in model:
        raise InvalidRequest(f"--all and {model} do not fit.", hint=f"Give --all {model.partition(':')[0]}.")
    name, version = (model, None) if every else _exact(model)
    with platform() as client:
        client.delete_model(name, version)
    say(f"Model {model} is deleted.")
    next_step("fitq models list")


def _exact(model: str) -> tuple[str, int]:
    """A model with a version number.

    Raises:
        InvalidRequest: there is none, or it is an alias.
    """
    name, version = model_and_version(model)
    if version is None or not version.isdecimal():
        raise InvalidRequest(
            f"{model} names no version number.", hint=f"Write it like {name}:1; see fitq models show {name}."
        )
    return name, int(version)


for _verb in (register, list_, show, download, alias, approve, delete):
    models.add_command(_verb)
