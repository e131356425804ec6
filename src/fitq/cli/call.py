"""`fitq call`: a training function as a run."""

from __future__ import annotations

import click

from fitq.cli.commands import command
from fitq.cli.connect import platform
from fitq.cli.functions import callable_functions
from fitq.cli.given import pairs
from fitq.cli.submission import RunOptions, run_options, submit_and_see
from fitq.errors import InvalidRequest, NotFound
from fitq.functions import on_its_way, parse_parameter
from fitq.names import did_you_mean
from fitq.records import FunctionRecord, RunRequest
from fitq.sdk.client import Client


@command(
    "call",
    "fitq call iris --parameter kernel=linear --parameter penalty=2.0",
    "fitq call iris --follow --register iris",
    "fitq call digits --experiment handwriting --tag by=ana",
)
@click.argument("function")
@click.option(
    "--parameter", "-p", "parameters", multiple=True, metavar="K=V", help="Parameter. May be repeated."
)
@run_options
def call(function: str, parameters: tuple[str, ...], options: RunOptions) -> None:
    """Submit a training function as a run.

    Prints the run's id. Parameters are read as the types that the function declares: fitq functions list
    shows them.
    """
    given = pairs("--parameter", parameters)
    with platform() as client:
        record = _find(client, function)
        typed = {name: parse_parameter(record, name, text) for name, text in given.items()}
        submit_and_see(client, RunRequest(function=function, parameters=typed), options)


def _find(client: Client, name: str) -> FunctionRecord:
    known = {f.name: f for f in callable_functions(client)}
    if name in known:
        return known[name]
    try:
        code = client.get_function(name)
    except (NotFound, InvalidRequest):  # or no function can be called so
        raise NotFound(
            f"No pool knows a function {name!r}. {did_you_mean(name, known)}".strip(),
            hint="List what there is with: fitq functions list",
        ) from None
    raise on_its_way(name, code.pool)
