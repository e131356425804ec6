"""`fitq models register`: a file of a run, of this machine, or of another model becomes a version."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from fitq.cli.commands import command
from fitq.cli.connect import platform
from fitq.cli.given import json_or_file, pairs
from fitq.cli.output import next_step, result, say
from fitq.cli.submission import environment_given
from fitq.errors import InvalidRequest
from fitq.records import EntryRequest, RegisterRequest
from fitq.sdk.client import Client
from fitq.sdk.entry import entry_request


@command(
    "register",
    "fitq models register iris --run iris-k3f9x2ma --path outputs/model.joblib",
    "fitq models register iris --file model.joblib --sample-input '[[5.1, 3.5, 1.4, 0.2]]'",
    "fitq models register iris --run iris-k3f9x2ma --entry-script score.py --source-directory .",
)
@click.argument("name")
@click.option("--run", "run_id", metavar="RUN", help="The run that left the file.")
@click.option(
    "--path",
    help="The file's path in the run.  [default: outputs/model.joblib, else the only model that it left]",
)
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
        path=path,
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
