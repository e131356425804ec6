"""`fitq apply`, `diff`, `export`: what should be, in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fitq.cli.commands import command, json_option
from fitq.cli.connect import platform
from fitq.cli.contents import Contents
from fitq.cli.output import OK, next_step, result, result_json, say
from fitq.cli.plan_text import plan_lines, summary
from fitq.cli.written import Written, as_text, read_written
from fitq.documents import Plan
from fitq.errors import FitqError, InvalidRequest
from fitq.records import to_builtins
from fitq.sdk.client import Client

CHANGES = 1  #: exit code of a comparison that found some


def _declared(target: Callable[..., Any]) -> Callable[..., Any]:
    """The options of everything that reads documents."""
    for option in (
        click.option(
            "--prune", is_flag=True, help="Also remove what has the label and is not in the files any more."
        ),
        click.option(
            "--label", metavar="NAME", help="The set that the documents belong to.  [default: as before]"
        ),
        click.option(
            "-f",
            "--file",
            "files",
            type=click.Path(path_type=Path),
            multiple=True,
            required=True,
            metavar="FILE_OR_DIR",
            help="YAML file, folder of such, or - for standard input. May be repeated.",
        ),
    ):
        target = option(target)
    return target


@command(
    "apply",
    "fitq apply -f fitq.yaml",
    "fitq apply -f deploy --dry-run",
    "fitq apply -f deploy --label iris-team --prune",
)
@_declared
@click.option("--dry-run", is_flag=True, help="Only show what would change; exit code 1 if anything would.")
@json_option
def apply(files: tuple[Path, ...], label: str | None, prune: bool, dry_run: bool, as_json: bool) -> int:
    """Make the platform as files say.

    Shows what changes, then changes it, in the right order and only over what the plan was made from. Applied
    again, nothing changes. A field that no file names is left as it is.
    """
    written, contents = read_written(files), Contents()
    documents = contents.named(written)
    with platform() as client:
        plan = _planned(client, written, documents, label, prune)
        _show(plan, as_json)
        if dry_run:
            return _compared(plan, files)
        if not plan.is_empty:
            contents.send(client, (str(f.after) for c in plan.changes for f in c.fields))
            _apply(client, written, documents, label, prune, plan)
    say(summary(plan, done=True))
    next_step("fitq endpoints list", "fitq export")
    return OK


@command(
    "diff",
    "fitq diff -f fitq.yaml",
    "fitq diff -f deploy --label iris-team --prune",
    "fitq diff -f - < a.yaml",
)
@_declared
@json_option
def diff(files: tuple[Path, ...], label: str | None, prune: bool, as_json: bool) -> int:
    """Show what applying files would change.

    Exit code 0: nothing; 1: something; 2 or 3: it could not be found out. Changes that somebody made since
    the last apply are marked.
    """
    written = read_written(files)
    documents = Contents().named(written)
    with platform() as client:
        plan = _planned(client, written, documents, label, prune)
    _show(plan, as_json)
    return _compared(plan, files)


@command("export", "fitq export > fitq.yaml", "fitq export --label iris-team", "fitq export --json")
@click.option("--label", metavar="NAME", help="Only what was applied under this label.")
@json_option
def export(label: str | None, as_json: bool) -> None:
    """Print what is there as documents.

    Applying them changes nothing. No key, token or password is in them.
    """
    with platform() as client:
        found = client.documents(label=label)
    if as_json:
        result_json(found)
        return
    result(as_text(found))
    next_step("fitq diff -f fitq.yaml")


def _planned(
    client: Client,
    written: Sequence[Written],
    documents: Sequence[dict[str, Any]],
    label: str | None,
    prune: bool,
) -> Plan:
    try:
        return client.plan(documents, label=label, prune=prune)
    except InvalidRequest as exc:
        raise _located(exc, written) from exc


def _apply(
    client: Client,
    written: Sequence[Written],
    documents: Sequence[dict[str, Any]],
    label: str | None,
    prune: bool,
    plan: Plan,
) -> None:
    revisions = {change.key: change.revision for change in plan.changes}
    try:
        client.apply(documents, label=label, prune=prune, revisions=revisions)
    except InvalidRequest as exc:
        raise _located(exc, written) from exc
    except FitqError as exc:
        done = exc.data.get("done")
        if done:
            say(f"Applied before it stopped: {', '.join(done)}.")
        raise


def _located(exc: InvalidRequest, written: Sequence[Written]) -> InvalidRequest:
    """The same refusal with the file and line of everything that is wrong."""
    problems = exc.data.get("problems") or []
    for problem in problems[1:]:
        say(_sentence(problem, written))
    if not problems:
        return exc
    return InvalidRequest(_sentence(problems[0], written), hint=problems[0].get("hint") or "")


def _sentence(problem: dict[str, Any], written: Sequence[Written]) -> str:
    return f"{written[problem['document']].where(problem['at'])}: {problem['message']}"


def _show(plan: Plan, as_json: bool) -> None:
    if as_json:
        result_json(to_builtins(plan))
        return
    for line in plan_lines(plan):
        result(line)


def _compared(plan: Plan, files: Sequence[Path]) -> int:
    say(summary(plan))
    if plan.is_empty:
        return OK
    next_step("fitq apply " + " ".join(f"-f {file}" for file in files))
    return CHANGES
