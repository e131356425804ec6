"""`fitq doctor`: is everything there, and does it answer?"""

from __future__ import annotations

import platform as machine
from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

import click

from fitq.cli.commands import command, json_option
from fitq.cli.functions import callable_functions
from fitq.cli.output import TRY_AGAIN_LATER, YOU_CAN_FIX_IT, exit_code_of, result_json, say
from fitq.errors import FitqError, InvalidRequest, NotFound, Unavailable
from fitq.sdk.client import Client
from fitq.sdk.connection import find_connection
from fitq.sdk.http import decoded


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    ok: bool
    words: str  #: how it is, or what is wrong
    hint: str = ""
    exit_code: int = 0


@command("doctor", "fitq doctor", "fitq doctor --json", "FITQ_URL=http://ml.example.org:8700 fitq doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Check that everything needed is there and answers.

    Exit code 0 if all is well, 2 if you can fix what is not, 3 if waiting may help.
    """
    findings = examine()
    if as_json:
        result_json([f._asdict() for f in findings])
    else:
        for finding in findings:
            mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
            click.echo(f"{mark}  {finding.what}: {finding.words}")
            if finding.hint and not finding.ok:
                click.echo(f"      {finding.hint}")
    codes = [f.exit_code for f in findings if not f.ok]
    if codes:
        click.get_current_context().exit(YOU_CAN_FIX_IT if YOU_CAN_FIX_IT in codes else TRY_AGAIN_LATER)
    say("All is well.")


def examine() -> list[Finding]:
    """Look at everything that can be looked at from here; what depends on a failed thing is left out."""
    here = f"fitq {metadata.version('fitq')} on Python {machine.python_version()}"
    findings = [Finding("This machine", True, here)]
    try:
        connection = find_connection()
    except FitqError as exc:
        return [*findings, _failed("Configuration", exc)]
    findings.append(Finding("Configuration", True, f"{connection.url}, from {connection.source}"))
    with Client.connect(connection) as client:
        checks = {
            "API": lambda: _api(client),
            "Token": lambda: _token(client),
            "Workers": lambda: _workers(client),
            "Isolation": lambda: _isolation(client),
            "Functions": lambda: _functions(client),
            "Scoring": lambda: _scoring(client),
        }
        return [*findings, *(_look(what, check) for what, check in checks.items())]


def _look(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except FitqError as exc:
        return _failed(what, exc)


def _failed(what: str, error: FitqError) -> Finding:
    return Finding(what, False, error.message, error.hint, exit_code_of(error))


def _api(client: Client) -> str:
    answer = client.get("/readyz")
    parts = ", ".join(f"{name} {state}" for name, state in answer.items() if name != "status")
    return f"ready at {client.url} ({parts})" if parts else f"ready at {client.url}"


def _token(client: Client) -> str:
    client.list_runs(limit=1)
    return "accepted"


def _workers(client: Client) -> str:
    pools = client.pools()
    if not any(pool.workers for pool in pools):
        raise NotFound("No pool has a worker, so no run would start.", hint="Start one with: fitq up")
    troubled = [f"{pool.name}: {pool.problem}" for pool in pools if pool.problem]
    if troubled:
        raise Unavailable("; ".join(troubled), hint="Free some disk; the runs wait in their queue.")
    return ", ".join(f"{pool.name} {pool.workers}" for pool in pools)


def _isolation(client: Client) -> str:
    """What separates runs from their machine, and what does not there: told, not judged."""
    told = []
    for pool in client.pools():
        if pool.workers:
            missing = "".join(f"; no {rung}: {reason}" for rung, reason in pool.not_isolated.items())
            told.append(f"{pool.name} has {', '.join(pool.isolation) or 'nothing'}{missing}")
    return " · ".join(told)


def _functions(client: Client) -> str:
    found = callable_functions(client)
    broken = [f for f in found if f.error]
    if broken:
        raise InvalidRequest(
            f"{broken[0].file} does not import: {broken[0].error}",
            hint="Workers load it again once it is mended.",
        )
    return ", ".join(sorted({f.name for f in found})) or "none"


def _scoring(client: Client) -> str:
    if not client.scoring_url:
        raise InvalidRequest("The scoring address is not known.", hint="Set FITQ_SCORING_URL.")
    decoded(client.http.send("GET", f"{client.scoring_url}/readyz", repeatable=False))
    return f"ready at {client.scoring_url}"
