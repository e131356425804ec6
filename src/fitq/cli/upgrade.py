"""`fitq upgrade`: whether what is kept, and the programs that work on it, go together."""

from __future__ import annotations

from typing import Any

import click

from fitq import __version__
from fitq.cli.commands import command, json_option
from fitq.cli.connect import platform
from fitq.cli.output import OK, YOU_CAN_FIX_IT, facts, next_step, result_json, say


@command("upgrade", "fitq upgrade --check", "fitq upgrade --check --json", "fitq upgrade")
@click.option("--check", is_flag=True, help="Only look; exit code 2 if something has to be done.")
@json_option
def upgrade(check: bool, as_json: bool) -> int:
    """Bring what is kept to the format of this version.

    There is one format so far, so nothing is ever to be converted. It also tells which versions of fitq are
    at work: neighbouring minor versions work together while programs are replaced one by one.
    """
    with platform() as client:
        found = client.get("/v1/versions")
    problems = _problems(found)
    if as_json:
        result_json({**found, "client": __version__, "problems": problems})
    else:
        _show(found)
    for problem in problems:
        say(f"Note: {problem}")
    if problems:
        next_step("docker compose up --build --detach --wait", "fitq upgrade --check")
        return YOU_CAN_FIX_IT
    say("Nothing has to be upgraded." if check else "Nothing had to be upgraded.")
    return OK


def _show(found: dict[str, Any]) -> None:
    workers = [f"{version} ({count})" for version, count in sorted(found["workers"].items())]
    facts(
        [
            ("Format", f"{found['format']}, of {found['understood']} that the API understands"),
            ("Written by", f"fitq {found['written_by']}"),
            ("API", found["api"]),
            ("Scheduler", found.get("scheduler") or "none leads"),
            ("Scoring", found.get("scoring") or "does not answer"),
            ("Workers", ", ".join(workers) or "none"),
            ("This command", __version__),
        ]
    )


def _problems(found: dict[str, Any]) -> list[str]:
    problems = []
    if found["format"] < found["understood"]:
        problems.append(f"The bucket has format {found['format']} of {found['understood']}.")
    versions = {*found["workers"], found.get("scheduler"), found.get("scoring"), __version__}
    problems += [
        f"fitq {version} is more than a minor version away from the API's {found['api']}."
        for version in sorted(v for v in versions if v and v != "unknown")
        if not are_neighbours(version, found["api"])
    ]
    return problems


def are_neighbours(one: str, other: str) -> bool:
    """Whether two versions differ by at most one in the minor number."""
    (major, minor), (other_major, other_minor) = (_parts(v) for v in (one, other))
    return major == other_major and abs(minor - other_minor) <= 1


def _parts(version: str) -> tuple[int, int]:
    numbers = [int(n) if n.isdigit() else 0 for n in [*version.split("."), "0"][:2]]
    return numbers[0], numbers[1]
