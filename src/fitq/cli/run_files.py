"""`fitq runs artifacts` and `fitq runs download`: the files that a run left behind."""

from __future__ import annotations

from pathlib import Path

import click

from fitq.cli.commands import command, json_option
from fitq.cli.connect import platform
from fitq.cli.output import next_step, result, result_json, table
from fitq.errors import NotFound
from fitq.records import to_builtins
from fitq.sdk.transfer import below
from fitq.units import format_bytes


@command(
    "artifacts",
    "fitq runs artifacts iris-k3f9x2ma",
    "fitq runs artifacts iris-k3f9x2ma --json",
    "fitq runs download iris-k3f9x2ma",
)
@click.argument("run_id", metavar="RUN")
@json_option
def artifacts(run_id: str, as_json: bool) -> None:
    """List the files a run left behind."""
    with platform() as client:
        found = client.artifacts(run_id)
    if as_json:
        result_json([to_builtins(a) for a in found])
        return
    table(["FILE", "SIZE", "SHA-256"], [(a.path, format_bytes(a.size_bytes), a.sha256[:12]) for a in found])
    models = [a.path for a in found if a.path.endswith((".joblib", ".pkl", ".skops"))]
    if models:
        next_step(f"fitq models register MODEL --run {run_id} --path {models[0]}")


@command(
    "download",
    "fitq runs download iris-k3f9x2ma",
    "fitq runs download iris-k3f9x2ma outputs/model.joblib",
    "fitq runs download iris-k3f9x2ma outputs --to results",
)
@click.argument("run_id", metavar="RUN")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--to", type=click.Path(path_type=Path), help="Folder.  [default: a new one named like the run]"
)
def download(run_id: str, paths: tuple[str, ...], to: Path | None) -> None:
    """Download files of a run.

    PATH is a file or a folder of the run; all of its files without one. Prints where each file is now.
    """
    target = to or Path(run_id)
    with platform() as client:
        names = [a.path for a in client.artifacts(run_id)]
        for path in paths:
            if not any(_matches(n, path) for n in names):
                raise NotFound(f"Run {run_id} has no file {path!r}.", hint=f"It has: {', '.join(names)}")
        for name in names:
            if not paths or any(_matches(name, p) for p in paths):
                result(str(client.download_artifact(run_id, name, below(target, name, "", True))))


def _matches(name: str, path: str) -> bool:
    return name == path.rstrip("/") or name.startswith(path.rstrip("/") + "/")
