"""`fitq environments`: lists of packages with a name."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.follow import conclude, talk, watch
from fitq.cli.output import facts, next_step, result, result_json, say, short_time, table
from fitq.cli.submission import environment_given
from fitq.records import EnvironmentRequest, NamedEnvironment, to_builtins

_PACKAGES_SHOWN = 6


@group(
    "environments",
    "fitq environments list",
    "fitq environments build sklearn-env.yml",
    "fitq environments show AzureML-Tutorial",
)
def environments() -> None:
    """Build, list, show and withdraw environments."""


@command(
    "build",
    "fitq environments build sklearn-env.yml",
    "fitq environments build requirements.txt --name mine --python 3.9 --exclude-newer 2022-01-10",
    "fitq environments build AzureML-Tutorial --pool cpu",
)
@click.argument("name_or_file")
@click.option("--name", help="What it is called.  [default: the file's name without its ending]")
@click.option("--python", default="", metavar="VERSION", help="Python for it, where the file names none.")
@click.option("--strict", is_flag=True, help="Take no other Python than the one it asks for.")
@click.option("--exclude-newer", default="", metavar="DATE", help="No package published after it.")
@click.option("--description", default="", help="What it is for.")
@click.option("--pool", help="Whose worker builds it.  [default: default]")
@click.option("--no-wait", is_flag=True, help="Return at once; it goes on.")
def build(name_or_file: str, name: str | None, no_wait: bool, **how: Any) -> None:
    """Build an environment, and register it if it comes from a file.

    Prints NAME:VERSION, which --environment of fitq submit takes. The build's log goes to stderr. Every
    other machine builds it when a run needs it there.
    """
    given = environment_given(name_or_file)
    form = {} if isinstance(given, str) or given is None else given
    called = name or form.get("name") or name_or_file
    request = msgspec.convert({**form, **_said(how), "name": called}, EnvironmentRequest)
    with platform() as client:
        found = client.build_environment(request)
        result(found.name if found.is_curated else found.id)
        assert found.build is not None  # it was just asked for
        if no_wait:
            next_step(f"fitq runs logs {found.build.run} --follow", f"fitq environments show {found.name}")
            return
        conclude(watch(client, found.build.run, talk()))
    next_step(f"fitq submit train.py --environment {found.name}")


def _said(how: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in how.items() if value}


@command(
    "list",
    "fitq environments list",
    "fitq environments list --json",
    "fitq environments show fitq-sklearn-1.2",
)
@json_option
def list_(as_json: bool) -> None:
    """List environments that have a name: curated ones, then registered ones."""
    with platform() as client:
        found = client.list_environments()
    if as_json:
        result_json([to_builtins(e) for e in found])
        return
    rows = [
        (
            e.name,
            "curated" if e.is_curated else e.version,
            e.python or "any",
            _short(e.requirements),
            e.build.status if e.build else "",
        )
        for e in found
    ]
    table(["ENVIRONMENT", "VERSION", "PYTHON", "PACKAGES", "LAST BUILD"], rows)
    next_step("fitq submit train.py --environment NAME", "fitq environments build requirements.txt")


def _short(requirements: list[str]) -> str:
    shown = ", ".join(requirements[:_PACKAGES_SHOWN])
    return f"{shown}, …" if len(requirements) > _PACKAGES_SHOWN else shown


@command(
    "show",
    "fitq environments show AzureML-Tutorial",
    "fitq environments show mine:2",
    "fitq environments show mine --json",
)
@click.argument("name", metavar="ENVIRONMENT")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show an environment, and what its last build came to."""
    with platform() as client:
        found = client.get_environment(name)
    if as_json:
        result_json(to_builtins(found))
        return
    facts(
        [
            ("Environment", found.name if found.is_curated else found.id),
            ("Description", found.description),
            ("Python", found.python or "any"),
            ("Asked for", "\n".join(found.requirements)),
            ("Registered", short_time(found.created_at)),
            *_build_facts(found),
        ]
    )
    next_step(f"fitq submit train.py --environment {name}")


def _build_facts(found: NamedEnvironment) -> list[tuple[str, object]]:
    built = found.build
    if built is None:
        return []
    return [
        ("Last build", f"{built.status}, {short_time(built.at)} (run {built.run})"),
        ("Failure", f"{built.failure.message}\n{built.failure.hint}".strip() if built.failure else ""),
        ("Warnings", "\n".join(built.warnings)),
        ("Hash", built.hash),
        ("Built with", f"Python {built.python}" if built.python else ""),
        ("Packages", "\n".join(f"{name} {version}" for name, version in built.packages.items())),
    ]


@command(
    "withdraw",
    "fitq environments withdraw mine",
    "fitq environments list",
    "fitq submit train.py --environment mine:2",
)
@click.argument("name", metavar="ENVIRONMENT")
def withdraw(name: str) -> None:
    """Take an environment out of all lists.

    Its versions are kept: what names one by its number, as runs and functions do, still finds it.
    """
    with platform() as client:
        client.get_environment(name)  # a misspelt name is told, with near ones
        client.withdraw_environment(name)
    say(f"Environment {name} is in no list any more.")
    next_step("fitq environments list")


for _verb in (build, list_, show, withdraw):
    environments.add_command(_verb)
