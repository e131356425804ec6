"""`fitq data`: upload, list, show, download."""

from __future__ import annotations

from pathlib import Path

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.given import pairs
from fitq.cli.output import facts, next_step, pairs_text, result, result_json, say, short_time, table
from fitq.records import to_builtins
from fitq.sdk.answers import DataFacts
from fitq.units import format_bytes

_FILES_SHOWN = 20


@group(
    "data", "fitq data upload flowers iris.csv", "fitq data list", "fitq data download flowers:1 --to data"
)
def data() -> None:
    """Upload, list, download and withdraw data that runs take as input."""


@command(
    "upload",
    "fitq data upload flowers iris.csv",
    "fitq data upload photos photos/ --tag year=2026",
    "fitq submit train.py --input flowers=flowers:1 -- --data '${{inputs.flowers}}'",
)
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--description", default="", help="What it is.")
@click.option("--tag", multiple=True, metavar="K=V", help="Tag. May be repeated.")
def upload(name: str, path: Path, description: str, tag: tuple[str, ...]) -> None:
    """Upload a file or folder as a version of data.

    Prints its id, NAME:VERSION. The same content is the same version. An upload that was interrupted goes
    on where it stopped.
    """
    with platform() as client:
        record = client.upload_data(name, path, description=description, tags=pairs("--tag", tag))
    result(record.id)
    next_step(f"fitq submit train.py --input {record.name}={record.id}")


@command("list", "fitq data list", "fitq data list --json", "fitq data show flowers")
@json_option
def list_(as_json: bool) -> None:
    """List data with its newest version."""
    with platform() as client:
        found = client.list_data()
    if as_json:
        result_json([to_builtins(d) for d in found])
        return
    rows = [(d.name, d.latest_version, *_facts_of(d.latest)) for d in found]
    table(["DATA", "NEWEST", "FILES", "SIZE", "UPLOADED"], rows)
    if not found:
        next_step("fitq data upload NAME PATH")


def _facts_of(latest: DataFacts) -> tuple[object, ...]:
    return latest.file_count, format_bytes(latest.size_bytes), short_time(latest.created_at)


@command("show", "fitq data show flowers", "fitq data show flowers:1", "fitq data show flowers --json")
@click.argument("name", metavar="DATA")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a version of data and its files."""
    with platform() as client:
        record = client.get_data(*_named(name))
    if as_json:
        result_json(to_builtins(record))
        return
    listed = [f"{f.path}  {format_bytes(f.size_bytes)}" for f in record.files[:_FILES_SHOWN]]
    if len(record.files) > _FILES_SHOWN:
        listed.append(f"… and {len(record.files) - _FILES_SHOWN} more")
    facts(
        [
            ("Data", record.id),
            ("Description", record.description),
            ("Kind", "folder" if record.is_folder else "file"),
            ("Size", format_bytes(record.size_bytes)),
            ("Files", "\n".join(listed)),
            ("Tags", pairs_text(record.tags)),
            ("Uploaded", short_time(record.created_at)),
        ]
    )


@command(
    "download",
    "fitq data download flowers",
    "fitq data download flowers:1 --to data",
    "fitq data show flowers",
)
@click.argument("name", metavar="DATA")
@click.option("--to", type=click.Path(path_type=Path), default=Path(), help="Folder.  [default: this folder]")
def download(name: str, to: Path) -> None:
    """Download a version of data; prints where it is now."""
    with platform() as client:
        result(str(client.download_data(client.get_data(*_named(name)), to)))


@command(
    "withdraw", "fitq data withdraw flowers", "fitq data list", "fitq submit train.py --input x=flowers:1"
)
@click.argument("name", metavar="DATA")
def withdraw(name: str) -> None:
    """Take data out of all lists.

    New runs cannot take it by its name any more. Its versions are kept: runs that took one, and their reruns,
    still find it by its number. Uploading it again brings the name back.
    """
    with platform() as client:
        client.get_data(name)  # a misspelt name is told, with near ones
        client.withdraw_data(name)
    say(f"Data {name} is in no list any more.")
    next_step("fitq data list")


def _named(text: str) -> tuple[str, str | None]:
    name, _, version = text.partition(":")
    return name, version or None


for _verb in (upload, list_, show, download, withdraw):
    data.add_command(_verb)
