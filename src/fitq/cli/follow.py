"""Watching a run until it ends, and saying how it ended."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from fitq.cli.output import next_step, say
from fitq.errors import RunFailed
from fitq.records import RunRecord, RunStatus
from fitq.sdk.client import Client
from fitq.sdk.watching import explain, why_queued, write
from fitq.units import format_seconds


def watch(client: Client, run_id: str, log_to: TextIO | None, *, offset: int = 0) -> RunRecord:
    """The run once it is final. Its statuses go to stderr, its log to `log_to` unless that is None.

    Raises:
        KeyboardInterrupt: after saying how to come back; the run goes on.
    """
    try:
        for event in client.follow_run(run_id, offset=offset):
            if event.kind == "log" and log_to is not None:
                write(log_to, event.text)
            elif event.kind == "status" and event.status and not event.status.is_final:
                say(click.style(f"{run_id} is {event.status}{_why(client, run_id, event.status)}", dim=True))
        return client.get_run(run_id)
    except KeyboardInterrupt:
        say(f"\nRun {run_id} goes on.")
        next_step(f"fitq runs logs {run_id} --follow", f"fitq runs cancel {run_id}")
        raise


def _why(client: Client, run_id: str, status: RunStatus) -> str:
    """What it waits for, while it does."""
    run = client.get_run(run_id) if status is RunStatus.QUEUED else None
    return f": {why_queued(client, run)}" if run and run.status is RunStatus.QUEUED else ""


def conclude(run: RunRecord) -> None:
    """Say how a run ended.

    Raises:
        RunFailed: it did not complete.
    """
    if run.status is not RunStatus.COMPLETED:
        hinted = run.failure is not None and run.failure.hint
        hint = "" if hinted else f"Its whole log: fitq runs logs {run.id}"
        raise RunFailed(f"Run {run.id} is {run.status}.\n{explain(run)}", hint=hint)
    for warning in run.warnings:
        say(f"Note: {warning}")
    say(f"Run {run.id} completed in {format_seconds(run.usage.run_seconds)}.")


def talk() -> TextIO:
    """Where a log goes when stdout is kept for the result."""
    return sys.stderr
