"""`fitq pools`: who reads which queue."""

from __future__ import annotations

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.output import next_step, result_json, say, table
from fitq.errors import NotFound
from fitq.records import PoolSettings, to_builtins
from fitq.sdk.client import Client
from fitq.units import format_seconds, parse_seconds


@group("pools", "fitq pools list", "fitq pools list --json", "fitq pools scale default 3")
def pools() -> None:
    """List pools and say how many workers they should have."""


@command("list", "fitq pools list", "fitq pools list --json", "fitq status")
@json_option
def list_(as_json: bool) -> None:
    """List pools with their workers and what waits."""
    with platform() as client:
        found = client.pools()
    if as_json:
        result_json([to_builtins(p) for p in found])
        return
    table(
        ["POOL", "WORKERS", "MIN", "MAX", "QUEUED", "RUNNING", "OLDEST WAITS"],
        [
            (
                p.name,
                p.workers,
                p.min_workers,
                p.max_workers,
                p.queued,
                p.running,
                "" if p.oldest_queued_seconds is None else format_seconds(p.oldest_queued_seconds),
            )
            for p in found
        ],
    )
    for pool in found:
        for name, problem in pool.broken.items():
            say(f"Function {name} of pool {pool.name} cannot run: {problem}")


@command(
    "scale",
    "fitq pools scale default 3",
    "fitq pools scale cpu 0 --max 8",
    "fitq pools scale cpu 1 --max 4 --idle 10m",
)
@click.argument("name")
@click.argument("workers", type=click.IntRange(0))
@click.option("--max", "most", type=click.IntRange(0), help="Most workers.  [default: the same number]")
@click.option("--idle", default="5m", show_default=True, help="An extra worker may be idle for so long.")
def scale(name: str, workers: int, most: int | None, idle: str) -> None:
    """Say how many workers a pool should have.

    With --max it follows its queue between the two numbers; no worker is stopped that executes a run. The
    platform started by fitq up follows within seconds, up to 16 workers per CPU core. Elsewhere, whoever
    starts workers reads it.
    """
    with platform() as client:
        settings = PoolSettings(
            min_workers=workers,
            max_workers=workers if most is None else most,
            idle_seconds=round(parse_seconds(idle)),
            secrets=_allowed_secrets(client, name),
        )
        pool = client.configure_pool(name, settings)
    say(f"Pool {pool.name} should have {pool.min_workers} to {pool.max_workers} workers; now {pool.workers}.")
    next_step("fitq pools list")


def _allowed_secrets(client: Client, pool: str) -> list[str] | None:
    """What was said of it stays."""
    try:
        return client.get_pool(pool).secrets
    except NotFound:
        return None


for _verb in (list_, scale):
    pools.add_command(_verb)
