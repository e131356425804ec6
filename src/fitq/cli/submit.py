"""`fitq submit`: a script or folder as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fitq import snapshots
from fitq.cli.commands import command
from fitq.cli.connect import platform
from fitq.cli.output import say
from fitq.cli.submission import RunOptions, run_options, submit_and_see
from fitq.errors import InvalidRequest
from fitq.names import did_you_mean
from fitq.records import RunRequest
from fitq.sdk.environment import Environment, environment_request
from fitq.sdk.git import git_facts
from fitq.units import format_bytes


@command(
    "submit",
    "fitq submit train.py --follow -- --penalty 1.0",
    "fitq submit training --script train.py --experiment flowers --tag by=ana",
    "fitq submit train.py --environment sklearn-env.yml --timeout 1h --register iris=outputs/model.joblib",
)
@click.argument("script_or_dir", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]...")
@click.option("--script", help="Path of the script inside the folder.")
@run_options
def submit(script_or_dir: Path, arguments: tuple[str, ...], script: str | None, options: RunOptions) -> None:
    """Submit a script or folder as a run.

    Prints the run's id. A script goes together with its folder, without what .fitqignore (or .amlignore,
    or .gitignore) names. Arguments of the script come after --. Without --environment, the packages that the
    script lists in a header (PEP 723) are its environment.
    """
    folder, path = _folder_and_script(script_or_dir, script)
    with platform() as client:
        packed = snapshots.pack(folder)
        if path not in packed.files:
            raise InvalidRequest(
                f"{path} is not part of the snapshot of {folder}. {did_you_mean(path, packed.files)}".strip(),
                hint="Give a script inside the folder that no ignore file names.",
            )
        _say_what_goes(folder, packed)
        request = RunRequest(
            snapshot=client.upload_snapshot(packed.data),
            script=path,
            arguments=list(arguments),
            environment=_own_environment(folder / path),
            git=git_facts(folder),
        )
        submit_and_see(client, request, options)


def _folder_and_script(given: Path, script: str | None) -> tuple[Path, str]:
    if given.is_file():
        if script is not None:
            raise InvalidRequest(
                f"{given} is a script already; --script names another.", hint="Give its folder and --script."
            )
        return given.resolve().parent, given.name
    if not given.is_dir():
        near = did_you_mean(given.name, (p.name for p in given.parent.glob("*")))
        raise InvalidRequest(f"There is no file or folder {given}. {near}".strip(), hint="Give a script.")
    return given, Path(script).as_posix() if script else _only_script(given)


def _own_environment(script: Path) -> str | dict[str, Any] | None:
    """What the script lists in its own header, which --environment overrides."""
    return environment_request(Environment.of_script(script))


def _only_script(folder: Path) -> str:
    found = sorted(p.name for p in folder.glob("*.py"))
    if len(found) == 1:
        return found[0]
    raise InvalidRequest(
        f"{folder} holds {len(found) or 'no'} scripts{': ' if found else ''}{', '.join(found[:10])}.",
        hint="Say which one runs: --script NAME.",
    )


def _say_what_goes(folder: Path, packed: snapshots.Snapshot) -> None:
    count = "1 file" if len(packed.files) == 1 else f"{len(packed.files)} files"
    say(f"Submitting {count} of {folder} ({format_bytes(len(packed.data))} packed).")
    if packed.ignored:
        say(f"Left out, because they lead out of the folder: {', '.join(packed.ignored[:5])}")
