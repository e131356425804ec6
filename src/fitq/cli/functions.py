"""`fitq functions`: what workers know how to run."""

from __future__ import annotations

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.output import next_step, result_json, say, table
from fitq.functions import signature_text
from fitq.records import FunctionRecord, to_builtins
from fitq.sdk.client import Client


@group(
    "functions", "fitq functions list", "fitq functions list --json", "fitq call iris --parameter penalty=2.0"
)
def functions() -> None:
    """List training functions."""


@command("list", "fitq functions list", "fitq functions list --json", "fitq up --functions training")
@json_option
def list_(as_json: bool) -> None:
    """List the training functions that pools know, with their parameters."""
    with platform() as client:
        found = callable_functions(client)
    if as_json:
        result_json([to_builtins(f) for f in found])
        return
    table(["FUNCTION", "POOL", "PARAMETERS", "WHAT IT DOES"], [_row(f) for f in found])
    if found:
        next_step(f"fitq call {found[0].name} --follow")
    else:
        say("No pool knows a function. Start workers with a folder of them: fitq up --functions DIR")


def callable_functions(client: Client) -> list[FunctionRecord]:
    """Those that people call: `run_script` is how a pool runs submitted folders."""
    return [f for f in client.functions() if f.name != "run_script"]


def _row(function: FunctionRecord) -> tuple[str, ...]:
    what = f"does not import: {function.error}" if function.error else function.description
    return function.name, function.pool, signature_text(function), what.partition("\n")[0]


functions.add_command(list_)
