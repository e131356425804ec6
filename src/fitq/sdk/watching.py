"""Waiting for a run: quietly, or with its log on the screen."""

from __future__ import annotations

import sys
from typing import TextIO

from fitq.errors import FitqError, NotFound
from fitq.printed import terminal_text
from fitq.records import RunRecord, RunStatus
from fitq.sdk.answers import RegisteredModel
from fitq.sdk.client import Client

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_MODELS_SECONDS = 20.0
_STREAMED = "user_logs/std_log.txt"


def web_view(client: Client, run_id: str) -> str:
    """The run's page on the dashboard."""
    return f"{client.url}/runs/{run_id}"


def wait(client: Client, run_id: str) -> RunRecord:
    """The run once its status is final."""
    pause = _FIRST_PAUSE_SECONDS
    while not (run := client.get_run(run_id)).status.is_final:
        client.http.pause(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    return run


def models_of(client: Client, run: RunRecord) -> list[RegisteredModel]:
    """The models that a completed run asked to become. They follow its end within moments, each once; what is
    missing after `_MODELS_SECONDS` is what a warning of the run is about, or a scheduler will make up for.
    """
    waited, pause = 0.0, _FIRST_PAUSE_SECONDS
    refused = sum(1 for w in run.warnings if w.startswith("Model ") and "was not registered" in w)
    while True:
        found = [
            m for name in sorted({r.name for r in run.register}) for m in _versions(client, name, run.id)
        ]
        if len(found) >= len(run.register) - refused or waited > _MODELS_SECONDS:
            return found
        client.http.pause(pause)
        waited += pause


def _versions(client: Client, name: str, run_id: str) -> list[RegisteredModel]:
    try:
        return [m for m in client.get_model_summary(name).records if m.run == run_id]
    except NotFound:
        return []


def show(client: Client, run_id: str, out: TextIO | None = None) -> RunRecord:
    """Write the run's log to `out` (standard output if None) until it is final, with Azure's head and
    summary. An interrupt leaves the run running, and says so.

    Raises:
        KeyboardInterrupt: after saying how to get back to the run.
    """
    out = out or sys.stdout
    try:
        write(out, f"RunId: {run_id}\nWeb View: {web_view(client, run_id)}\n\n")
        _wait_for_worker(client, run_id, out)
        write(out, f"Streaming {_STREAMED}\n{'=' * len(f'Streaming {_STREAMED}')}\n\n")
        _stream(client, run_id, out)
        run = wait(client, run_id)
    except KeyboardInterrupt:
        write(
            out,
            f"\nThe output streaming was interrupted; run {run_id} goes on. Back to its log: "
            f"fitq runs logs --follow {run_id}. Stop it: fitq runs cancel {run_id}\n",
        )
        raise
    write(out, _summary(client, run))
    return run


def _wait_for_worker(client: Client, run_id: str, out: TextIO) -> None:
    waited, pause, told = 0.0, _FIRST_PAUSE_SECONDS, False
    while (run := client.get_run(run_id)).status is RunStatus.QUEUED:
        if waited >= 1.0 and not told:
            write(out, f"Queued: {why_queued(client, run)}\n\n")
            told = True
        client.http.pause(pause)
        waited += pause
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def why_queued(client: Client, run: RunRecord) -> str:
    """What a queued run waits for, in words."""
    try:
        pool = client.get_pool(run.pool)
    except FitqError:
        return f"waiting for a worker of pool {run.pool!r}."
    if not pool.workers:
        return run.timeline[-1].reason or f"pool {run.pool!r} has no worker any more."
    if pool.problem:
        return f"workers of pool {run.pool!r} start no run: {pool.problem}"
    return f"{pool.queued} queued and {pool.running} running in pool {run.pool!r}, workers: {pool.workers}."


def _stream(client: Client, run_id: str, out: TextIO) -> None:
    attempts = 0
    for event in client.follow_run(run_id):
        if event.kind == "log":
            write(out, event.text)
        elif event.status is RunStatus.PREPARING:
            attempts += 1
            if attempts > 1:
                write(out, f"\nRun {run_id} starts again: its attempt was lost.\n")


def _summary(client: Client, run: RunRecord) -> str:
    title = "Execution Summary"
    lines = ["", title, "=" * len(title), f"RunId: {run.id}", f"Web View: {web_view(client, run.id)}"]
    if run.warnings:
        lines += ["", "Warnings:", *run.warnings]
    if run.failure is not None:
        lines += ["", "Error:", explain(run, with_log=False)]  # its log is just above
    return "\n".join([*lines, "", ""])


def explain(run: RunRecord, *, with_log: bool = True) -> str:
    """Why a run did not complete: kind, message, the decisive lines of its log, versions, likely fix."""
    if run.failure is None:
        return f"Run {run.id} is {run.status}."
    failure = run.failure
    shown = failure.lines if with_log else []
    where = f" ({failure.where})" if failure.where and failure.where not in failure.message else ""
    versions = ", ".join(f"{name} {version}" for name, version in failure.versions.items())
    parts = [
        f"{failure.kind}: {failure.message}{where}",
        *(f"    {line}" for line in shown),
        f"Versions: {versions}" if versions else "",
        failure.hint,
    ]
    return "\n".join(part for part in parts if part)


def write(out: TextIO, text: str) -> None:
    """Shown at once, also where the terminal lacks a character, and without what a terminal would obey."""
    text = terminal_text(text) if out.isatty() else text
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(text.encode(encoding, errors="replace").decode(encoding))
    out.flush()
