"""`fitq backup`, `fitq restore`: a whole workspace as one file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fitq.cli.commands import command
from fitq.cli.output import next_step, result, say
from fitq.units import format_bytes

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder.  [default: .fitq]", metavar="DIR"
)
_file = click.argument("file", type=click.Path(path_type=Path))
_file_there = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@command(
    "backup",
    "fitq backup friday.tar",
    "fitq backup friday.tar --data /srv/fitq",
    "FITQ_S3_URL=http://minio:9000 fitq backup friday.tar",
)
@_file
@_data
def backup(file: Path, data: Path | None) -> None:
    """Write everything that is kept to one file.

    The platform may go on working. With FITQ_S3_URL and its keys set, that store is read instead of a data
    folder. The file holds what endpoint keys come from: keep it as carefully as them.
    """
    from fitq.local.backup import backup as write
    from fitq.local.bucket import bucket_of
    from fitq.local.home import find_home

    with bucket_of(find_home(data), os.environ, alone=False) as (objects, workspace):
        kept = write(objects, workspace, file)
    result(str(file))
    say(f"{kept.objects} objects, {format_bytes(kept.size_bytes)}.")
    next_step(f"fitq restore {file} --data NEW_FOLDER")


@command(
    "restore",
    "fitq restore friday.tar --data restored",
    "fitq restore friday.tar && fitq up",
    "FITQ_S3_URL=http://minio:9000 fitq restore friday.tar",
)
@_file_there
@_data
def restore(file: Path, data: Path | None) -> None:
    """Fill an empty platform from a backup.

    The file is checked before anything is written. A data folder gets a new token; endpoint keys stay valid.
    With FITQ_S3_URL and its keys set, that store is filled instead: stop the platform on it first.
    """
    from fitq.local.backup import restore as read
    from fitq.local.bucket import bucket_of
    from fitq.local.home import FOLDER, Home

    home = Home(data or Path(FOLDER))
    with bucket_of(home, os.environ, alone=True) as (objects, workspace):
        kept = read(objects, workspace, file)
    say(f"Restored {kept.objects} objects, {format_bytes(kept.size_bytes)}.")
    if os.environ.get("FITQ_S3_URL"):
        say("Start the platform on this store: an empty Redis is filled from it.")
    else:
        next_step("fitq up" + (f" --data {data}" if data else ""))
