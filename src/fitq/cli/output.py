"""Results on stdout, talk on stderr; nothing that a terminal would obey."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from fitq.errors import FitqError
from fitq.printed import terminal_text

OK, RUN_FAILED, YOU_CAN_FIX_IT, TRY_AGAIN_LATER, INTERRUPTED = 0, 1, 2, 3, 130


def result(text: str) -> None:
    """One line of a result."""
    click.echo(terminal_text(text))


def result_json(value: object) -> None:
    """A result for programs."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A result with columns: fitted to a terminal, unshortened anywhere else."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("–" if cell in (None, "") else str(cell)) for cell in row))
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        click.echo(terminal_text(line.rstrip()))


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """A result about one thing: a name and a value per line; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0) + 2
    for name, value in shown:
        first, *rest = str(value).splitlines() or [""]
        result(f"{click.style(name.ljust(width), dim=True)}{first}")
        for line in rest:
            result(f"{' ' * width}{line}")


def say(text: str) -> None:
    """Talk."""
    click.echo(terminal_text(text), err=True)


def next_step(*commands: str) -> None:
    """What people usually do after this."""
    for n, shown in enumerate(commands):
        say(click.style(f"{'Next:' if n == 0 else '     '} {shown}", dim=True))


def complain(error: FitqError) -> int:
    """Say what went wrong and what to do; returns the exit code."""
    say(f"{click.style('Error:', fg='red', bold=True)} {error.message}")
    if error.hint:
        say(error.hint)
    elif isinstance(expected := error.data.get("expected"), str):
        say(f"Expected {expected}; got {error.data.get('got')}.")
    request_id = error.data.get("request_id")
    if request_id and error.status >= 500:
        say(f"Request id: {request_id}")
    return exit_code_of(error)


def exit_code_of(error: FitqError) -> int:
    """1 the run failed, 2 you can fix it, 3 try again later."""
    if error.code in ("run_failed", "activity_failed"):
        return RUN_FAILED
    ours = error.code in ("internal_error", "unavailable") or error.status in (429, 502, 503, 504)
    return TRY_AGAIN_LATER if ours else YOU_CAN_FIX_IT


def short_time(moment: Any) -> str:
    """A time of this machine's clock, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def pairs_text(pairs: dict[str, Any]) -> str:
    """`{"a": 1}` → `a=1`."""
    return ", ".join(f"{name}={value}" for name, value in pairs.items())
