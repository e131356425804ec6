"""`fitq runs`: list, show, follow, compare, cancel, repeat; files of a run are in `run_files.py`."""

from __future__ import annotations

import sys

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.follow import conclude, watch
from fitq.cli.given import pairs
from fitq.cli.output import next_step, result, result_json, say, short_time, table
from fitq.cli.run_files import artifacts, download
from fitq.cli.run_page import print_run
from fitq.cli.run_table import compare_rows, duration, latest
from fitq.records import RunRequest, RunStatus, from_builtins, to_builtins
from fitq.sdk.watching import write

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
