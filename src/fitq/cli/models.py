"""`fitq models`: register, list, show, download, alias, approve, delete."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click
import msgspec

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.given import json_or_file, model_and_version, pairs
from fitq.cli.output import facts, next_step, pairs_text, result, result_json, say, short_time, table
from fitq.cli.run_page import versions_text
from fitq.cli.submission import environment_given
from fitq.errors import InvalidRequest
from fitq.records import ChangeRequest, EntryRequest, InputSchema, RegisterRequest, to_builtins
from fitq.sdk.answers import ModelSummary, RegisteredModel
from fitq.sdk.client import Client
from fitq.sdk.entry import entry_request
from fitq.units import format_bytes


@group(
    "models",
    "fitq models list",
    "fitq models register iris --run iris-k3f9x2ma --path outputs/model.joblib",
    "fitq models show iris:1",
)
def models() -> None:
    """Register, list, show and download models."""


@command(
    "register",
    "fitq models register iris --run iris-k3f9x2ma --path outputs/model.joblib",
    "fitq models register iris --file model.joblib --sample-input '[[5.1, 3.5, 1.4, 0.2]]'",
    "fitq models register iris --run iris-k3f9x2ma --entry-script score.py --source-directory .",
)
@click.argument("name")
@click.option("--run", "run_id", metavar="RUN", help="The run that left the file.")
@click.option("--path", help="The file's path in the run.  [default: outputs/model.joblib]")
@click.option("--file", type=click.Path(path_type=Path), help="A file of this machine instead of a run's.")
@click.option("--model", metavar="NAME[:V]", help="The file of this registered model instead.")
@click.option(
    "--entry-script",
    metavar="SCRIPT",
    help="A script that answers with the model: init and run (Azure), or model_fn, predict_fn … (SageMaker). "
    "Of --source-directory; without that of the run's own code, or this one file.",
)
@click.option(
    "--source-directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the entry script on this machine; all of it is sent along.",
)
@click.option(
    "--with-model",
    multiple=True,
    metavar="NAME[:V]",
    help="Another model that the entry script reads, besides that of --model. May be repeated.",
)
@click.option("--description", default="", help="What it is.")
@click.option("--tag", multiple=True, metavar="K=V", help="Tag. May be repeated.")
@click.option("--property", "property_", multiple=True, metavar="K=V", help="Property. May be repeated.")
@click.option("--framework", default="ScikitLearn", show_default=True, help="As declared.")
@click.option(
    "--framework-version", default="", help="As declared; it is served by the version that wrote it."
)
@click.option(
    "--environment",
    metavar="FILE_OR_NAME",
    help="In which a file is loaded whose run does not tell, or an entry script runs: a conda file, a "
    "requirements file, a name, a hash, or 'platform' for what the platform has.",
)
@click.option("--sample-input", metavar="JSON_OR_FILE", help="A few rows that show what it takes.")
def register(
    name: str,
    run_id: str | None,
    path: str | None,
    file: Path | None,
    model: str | None,
    entry_script: str | None,
    source_directory: Path | None,
    with_model: tuple[str, ...],
    description: str,
    tag: tuple[str, ...],
    property_: tuple[str, ...],
    framework: str,
    framework_version: str,
    environment: str | None,
    sample_input: str | None,
) -> None:
    """Register a file as the next version of a model.

    Prints its id, NAME:VERSION. From then on it can be scored.
    """
    if sum(given is not None for given in (run_id, file, model)) != 1 or (path and run_id is None):
        raise InvalidRequest(
            "A model comes from a run, from a file, or from another model.",
            hint="Give --run RUN --path outputs/model.joblib, or --file model.joblib, or --model iris:1.",
        )
    if source_directory is not None and entry_script is None:
        raise InvalidRequest("--source-directory is for --entry-script.", hint="Add --entry-script score.py.")
    if with_model and (entry_script is None or model is None):
        raise InvalidRequest(
            "--with-model is for an --entry-script of a registered --model.",
            hint="Register each model, then: --model iris:1 --with-model sizes:1 --entry-script score.py.",
        )
    request = RegisterRequest(
        name=name,
        run=run_id,
        model=model,
        path=(path or "outputs/model.joblib") if run_id else None,
        description=description,
        tags=pairs("--tag", tag),
        properties=pairs("--property", property_),
        framework=framework,
        framework_version=framework_version,
        environment=environment_given(environment) if environment else None,
        sample_input=json_or_file("--sample-input", sample_input) if sample_input else None,
    )
    with platform() as client:
        if entry_script is not None:
            entry = _entry(client, entry_script, source_directory, run_id, with_model)
            request = msgspec.structs.replace(request, entry=entry)
        registered = client.register_model(request, file)
    result(registered.id)
    for warning in registered.warnings:
        say(f"Note: {warning}")
    next_step(f"fitq score {registered.name}", f"fitq models show {registered.id}")


def _entry(
    client: Client, script: str, folder: Path | None, run: str | None, models: tuple[str, ...]
) -> EntryRequest:
    """The entry script: of a folder of this machine, of the run's own code, or alone."""
    if run and folder is None:
        return EntryRequest(script=script)
    return entry_request(client, script, folder, models)


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


def print_model(record: RegisteredModel, summary: ModelSummary) -> None:
    """Print one version of a model."""
    facts(
        [
            ("Model", record.id),
            ("Versions", ", ".join(str(v) for v in summary.versions)),
            ("Aliases", pairs_text(summary.aliases)),
            ("About", summary.description),
            ("Filed under", pairs_text(summary.tags)),
            ("Description", record.description),
            ("Estimator", record.estimator),
            ("Entry script", record.entry.told if record.entry else ""),
            ("It reads", ", ".join(m.id for m in record.entry.models) if record.entry else ""),
            ("Answers", ", ".join(record.methods)),
            ("By default", record.default_method if record.methods else ""),
            ("Takes", "what its script takes" if record.entry else _schema(record.input_schema)),
            ("Classes", ", ".join(str(c) for c in record.classes)),
            ("From run", record.run),
            ("File", f"{record.path} ({format_bytes(record.size_bytes)})"),
            ("SHA-256", record.sha256),
            ("Written by", versions_text(record.versions)),
            ("Declared", f"{record.framework} {record.framework_version}".strip()),
            ("Tags", pairs_text(record.tags)),
            ("Properties", pairs_text(record.properties)),
            ("Registered", short_time(record.created_at)),
            ("Warnings", "\n".join(record.warnings)),
            ("Approved", "served also where it answers otherwise" if record.tolerated else ""),
            ("Scoring", record.scoring_uri),
        ]
    )


def _schema(schema: InputSchema | None) -> str:
    if schema is None:
        return "unknown: it cannot be scored until it is registered with --sample-input"
    if schema.layout == "texts":
        return "texts"
    columns = [f"{c.name}: {c.kind}" if c.name else c.kind for c in schema.columns]
    if len(set(columns)) == 1 and len(columns) > 1:
        return f"rows of {len(columns)} {columns[0]}s"
    return f"rows of {len(columns)}: {', '.join(columns)}"


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
