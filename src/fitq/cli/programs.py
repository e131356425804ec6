"""`fitq api`, `scheduler`, `scoring`, `worker`: one program each, told everything by `FITQ_…` variables."""

from __future__ import annotations

import os

import click

from fitq.cli.commands import command
from fitq.errors import InvalidRequest


@command("api", "fitq api", "FITQ_API_PORT=8800 fitq api", "FITQ_REDIS_URL=redis://cache:6379/0 fitq api")
def api() -> None:
    """Run the control plane and dashboard.

    Listens on FITQ_API_HOST and FITQ_API_PORT until SIGTERM. Every variable: fitq settings.
    """
    _run("run_api")


@command(
    "scheduler",
    "fitq scheduler",
    "FITQ_LEASE_SECONDS=30 fitq scheduler",
    "FITQ_REDIS_URL=redis://cache:6379/0 fitq scheduler",
)
def scheduler() -> None:
    """Run the scheduler, which gives runs of lost workers to others.

    Several may run, one leads. Ends at SIGTERM. Every variable: fitq settings.
    """
    _run("run_scheduler")


@command(
    "scoring",
    "fitq scoring",
    "FITQ_SCORING_PORT=8801 fitq scoring",
    "fitq scoring --processes 4",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes at its port; each loads models for itself.  [default: FITQ_SCORING_PROCESSES, else 1]",
)
def scoring(processes: int | None) -> None:
    """Run the scoring service.

    Listens on FITQ_SCORING_HOST and FITQ_SCORING_PORT until SIGTERM. Every variable: fitq settings.
    """
    _run("run_scoring", **({"FITQ_SCORING_PROCESSES": str(processes)} if processes else {}))


@command(
    "worker",
    "fitq worker --functions functions",
    "fitq worker --pool cpu --slots 2",
    "FITQ_REDIS_URL=redis://cache:6379/0 fitq worker --pool cpu",
)
@click.option("--pool", help="Whose runs it executes.  [default: FITQ_POOL, else default]")
@click.option("--functions", metavar="DIR", help="Folder of training functions.  [default: FITQ_FUNCTIONS]")
@click.option("--slots", type=click.IntRange(1), help="Runs at once.  [default: FITQ_SLOTS, else 1]")
@click.option("--one-shot", is_flag=True, help="Execute one run, or none if nothing waits, and end.")
def worker(pool: str | None, functions: str | None, slots: int | None, one_shot: bool) -> None:
    """Run one worker of one pool.

    Executes runs until SIGTERM; then hands back what it executes. Every variable: fitq settings.
    """
    given = {"FITQ_POOL": pool, "FITQ_FUNCTIONS": functions, "FITQ_SLOTS": slots}
    given |= {"FITQ_ONE_SHOT": 1} if one_shot else {}
    _run("run_worker", **{name: str(value) for name, value in given.items() if value is not None})


def _run(program: str, **variables: str) -> None:
    try:
        from fitq import programs
    except ModuleNotFoundError as exc:
        raise InvalidRequest(
            f"This program needs a package that is not installed: {exc.name}.",
            hint="Install it with: pip install 'fitq[local]'",
        ) from exc
    code = programs.exit_code_of(getattr(programs, program), {**os.environ, **variables})
    click.get_current_context().exit(code)
