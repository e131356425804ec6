"""`fitq runs`: list, show, follow, compare, cancel, repeat."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.follow import conclude, watch
from fitq.cli.given import pairs
from fitq.cli.output import next_step, result, result_json, say, short_time, table
from fitq.cli.run_page import print_run
from fitq.cli.run_table import compare_rows, duration, latest
from fitq.errors import NotFound
from fitq.records import RunRequest, RunStatus, from_builtins, to_builtins
from fitq.sdk.run import below
from fitq.sdk.watching import write
from fitq.units import format_bytes

_MOST_RUNS = 1000
_STATUSES = click.Choice([s.value for s in RunStatus], case_sensitive=False)


@group("runs", "fitq runs list", "fitq runs logs iris-k3f9x2ma --follow", "fitq runs cancel iris-k3f9x2ma")
def runs() -> None:
    """List, show, follow, compare and cancel runs."""


@command(
    "list",
    "fitq runs list",
    "fitq runs list --experiment flowers --status Failed",
    "fitq runs list --tag by=ana --limit 100 --json",
)
@click.option("--experiment", "-e", help="Only runs of this experiment.")
@click.option("--status", type=_STATUSES, help="Only runs of this status.")
@click.option("--tag", multiple=True, metavar="K=V", help="Only runs with this tag. May be repeated.")
@click.option("--parent", metavar="RUN", help="The child runs that this run's script made.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST_RUNS), default=20, show_default=True, help="At most so many."
)
@click.option("--oldest-first", is_flag=True, help="Instead of the newest.")
@json_option
def list_(
    experiment: str | None,
    status: str | None,
    tag: tuple[str, ...],
    parent: str | None,
    limit: int,
    oldest_first: bool,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    with platform() as client:
        page = client.list_runs(
            experiment=experiment,
            status=status,
            tags=pairs("--tag", tag),
            parent=parent,
            order="asc" if oldest_first else None,
            limit=limit,
        )
    if as_json:
        result_json([to_builtins(r) for r in page.runs])
        return
    table(
        ["RUN", "STATUS", "EXPERIMENT", "WHAT", "SUBMITTED", "TOOK"],
        [(r.id, r.status, r.experiment, r.title, short_time(r.created_at), duration(r)) for r in page.runs],
    )
    if page.next_cursor:
        say(f"There are more. Show them with: --limit {min(limit * 5, _MOST_RUNS)}")
    if not page.runs:
        next_step("fitq submit train.py --follow")


@command("show", "fitq runs show iris-k3f9x2ma", "fitq runs show iris-k3f9x2ma --json", "fitq runs list")
@click.argument("run_id", metavar="RUN")
@json_option
def show(run_id: str, as_json: bool) -> None:
    """Show everything that is known of a run."""
    with platform() as client:
        run = client.get_run(run_id)
    if as_json:
        result_json(to_builtins(run))
        return
    print_run(run)
    next_step(f"fitq runs logs {run.id}", f"fitq runs artifacts {run.id}")


@command(
    "logs",
    "fitq runs logs iris-k3f9x2ma",
    "fitq runs logs iris-k3f9x2ma --follow",
    "fitq runs logs iris-k3f9x2ma | grep Accuracy",
)
@click.argument("run_id", metavar="RUN")
@click.option("--follow", "-f", is_flag=True, help="Go on until it ends; exit code 1 if it failed.")
def logs(run_id: str, follow: bool) -> None:
    """Print what a run printed.

    With --follow, Ctrl-C stops the printing, not the run.
    """
    with platform() as client:
        if follow:
            conclude(watch(client, run_id, sys.stdout))
            next_step(f"fitq runs metrics {run_id}")
            return
        data = client.read_whole_log(run_id)
        if sys.stdout.isatty():
            write(sys.stdout, data.decode("utf-8", "replace"))
        else:  # a file or another program: the bytes that were printed
            sys.stdout.buffer.write(data)
            sys.stdout.flush()


@command(
    "metrics",
    "fitq runs metrics iris-k3f9x2ma",
    "fitq runs metrics iris-k3f9x2ma --all",
    "fitq runs metrics iris-k3f9x2ma --json",
)
@click.argument("run_id", metavar="RUN")
@click.option("--all", "everything", is_flag=True, help="Every value instead of the latest.")
@json_option
def metrics(run_id: str, everything: bool, as_json: bool) -> None:
    """Print what a run logged."""
    with platform() as client:
        found = client.metrics(run_id)
    if as_json:
        result_json({name: [to_builtins(p) for p in points] for name, points in found.items()})
    elif everything:
        rows = [(n, p.step, p.value, short_time(p.at)) for n, points in found.items() for p in points]
        table(["METRIC", "STEP", "VALUE", "AT"], rows)
    else:
        table(["METRIC", "LATEST", "VALUES"], [(n, latest(p), len(p)) for n, p in found.items()])
    if not found:
        say(f"Run {run_id} has logged nothing. In a script: Run.get_context().log(name, value)")


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


@command(
    "cancel",
    "fitq runs cancel iris-k3f9x2ma",
    "fitq runs cancel iris-k3f9x2ma digits-p7w2mmzt",
    "fitq runs list --status Running",
)
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
def cancel(run_ids: tuple[str, ...]) -> None:
    """Cancel runs; what they have written so far is kept."""
    with platform() as client:
        for run_id in run_ids:
            run = client.cancel_run(run_id)
            say(
                f"Run {run.id} is {run.status}." if run.status.is_final else f"Run {run.id} is asked to stop."
            )
    next_step(f"fitq runs show {run_ids[-1]}")


@command(
    "rerun",
    "fitq runs rerun iris-k3f9x2ma",
    "fitq runs rerun iris-k3f9x2ma --follow",
    "fitq runs compare iris-k3f9x2ma iris-zt77abcd",
)
@click.argument("run_id", metavar="RUN")
@click.option("--follow", is_flag=True, help="Show its log (on stderr); exit code 1 if it failed.")
def rerun(run_id: str, follow: bool) -> None:
    """Submit a run once more: the same snapshot or function, arguments and options.

    Prints the new run's id.
    """
    with platform() as client:
        repeated = client.get_run(run_id)
        known = to_builtins(repeated)
        fields = {name: known[name] for name in RunRequest.__struct_fields__}
        fields["environment"] = repeated.environment.asked
        run = client.submit_run(from_builtins(fields, RunRequest))
        result(run.id)
        sys.stdout.flush()
        if follow:
            conclude(watch(client, run.id, sys.stderr))
    next_step(f"fitq runs compare {run_id} {run.id}")


@command(
    "compare",
    "fitq runs compare iris-k3f9x2ma iris-zt77abcd",
    "fitq runs compare iris-k3f9x2ma iris-zt77abcd --json",
    "fitq runs list --experiment flowers",
)
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@json_option
def compare(run_ids: tuple[str, ...], as_json: bool) -> None:
    """Compare runs: what they were given, and the latest value of what they logged."""
    with platform() as client:
        columns = [(client.get_run(run_id), client.metrics(run_id)) for run_id in run_ids]
    rows = compare_rows(columns)
    if as_json:
        result_json({run: {name: values[n] for name, values in rows} for n, run in enumerate(run_ids)})
        return
    table(["", *run_ids], [(name, *values) for name, values in rows])


for _verb in (list_, show, logs, metrics, artifacts, download, cancel, rerun, compare):
    runs.add_command(_verb)
