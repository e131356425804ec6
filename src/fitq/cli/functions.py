"""`fitq functions`: what workers know how to run."""

from __future__ import annotations

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.output import next_step, result, result_json, say, short_time, table
from fitq.errors import InvalidRequest
from fitq.functions import signature_text
from fitq.records import FunctionCode, FunctionRecord, FunctionRequest, FunctionVersion, to_builtins
from fitq.sdk.client import Client

_DIGITS = 12  #: of a hash, where people read it


@group(
    "functions", "fitq functions list", "fitq functions list --json", "fitq call iris --parameter penalty=2.0"
)
def functions() -> None:
    """List training functions, and go back to earlier code."""


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
    what = function.problem or function.description
    return function.name, function.pool, signature_text(function), what.partition("\n")[0]


@command(
    "versions",
    "fitq functions versions iris",
    "fitq functions versions iris --json",
    "fitq functions rollback iris --to 3f9a",
)
@click.argument("name")
@json_option
def versions(name: str, as_json: bool) -> None:
    """List what a function was published with, code and environment, newest first.

    The first is what new runs get.
    """
    with platform() as client:
        code = client.get_function(name)
    if as_json:
        result_json([{**to_builtins(version), "id": version.id} for version in code.versions])
        return
    table(["VERSION", "PUBLISHED", "CODE", "ENVIRONMENT"], [_version_row(v) for v in code.versions])
    next_step(f"fitq functions rollback {name}")


def _version_row(version: FunctionVersion) -> tuple[str, ...]:
    at = short_time(version.published_at)
    return version.id[:_DIGITS], at, version.snapshot[:_DIGITS], version.environment.name


@command(
    "rollback",
    "fitq functions rollback iris",
    "fitq functions rollback iris --to 3f9a",
    "fitq functions list",
)
@click.argument("name")
@click.option("--to", "to", metavar="VERSION", help="First digits of a version.  [default: the one before]")
def rollback(name: str, to: str | None) -> None:
    """Publish an earlier version of a function again, code and environment; prints the version.

    Workers take it over within seconds. Runs that were submitted before keep the version that they were
    submitted with.
    """
    with platform() as client:
        code = client.get_function(name)
        chosen = _earlier(code, to)
        environment = chosen.environment.asked
        client.publish_function(
            name, FunctionRequest(snapshot=chosen.snapshot, pool=code.pool, environment=environment)
        )
    result(chosen.id)
    next_step(f"fitq call {name} --follow")


def _earlier(code: FunctionCode, to: str | None) -> FunctionVersion:
    earlier = [version for version in code.versions if version.id != code.current.id]
    found = [version for version in earlier if version.id.startswith(to or "")]
    if not found or (to and len(found) > 1):
        raise InvalidRequest(
            f"Function {code.name!r} has no single earlier version {to or ''}".rstrip() + ".",
            hint=f"Earlier ones: {', '.join(version.id[:_DIGITS] for version in earlier) or 'none'}.",
        )
    return found[0]


for _verb in (list_, versions, rollback):
    functions.add_command(_verb)
