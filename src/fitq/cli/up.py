"""`fitq up`, `fitq down`, `fitq status`: the whole platform on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fitq.cli.commands import command, json_option
from fitq.cli.output import facts, next_step, result_json, say, table
from fitq.errors import FitqError, InvalidRequest, NotFound
from fitq.units import parse_seconds

if TYPE_CHECKING:
    from fitq.local.home import Home
    from fitq.local.scaling import Workers
    from fitq.local.stack import Stack

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder.  [default: .fitq]", metavar="DIR"
)


@command(
    "up",
    "fitq up",
    "fitq up --functions training --pool default=2 --pool night=0..4",
    "fitq up --detach --api-port 0 --scoring-port 0",
)
@click.option(
    "--functions",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of training functions.  [default: functions, if there is such a folder]",
)
@_data
@click.option(
    "--workers", type=click.IntRange(0), default=1, show_default=True, help="Workers of pool default."
)
@click.option(
    "--pool",
    "pools",
    multiple=True,
    metavar="NAME=N",
    help="Another pool and its number of workers, or 0..4: as many as have something to do. May be repeated.",
)
@click.option(
    "--idle", default="5m", show_default=True, help="In a pool like 0..4, a worker may be idle for so long."
)
@click.option(
    "--api-port", type=int, default=8700, show_default=True, help="API and dashboard; 0: a free one."
)
@click.option("--scoring-port", type=int, default=8701, show_default=True, help="Scoring; 0: a free one.")
@click.option("--detach", is_flag=True, help="Return when it is ready and leave it running.")
def up(
    functions: Path | None,
    data: Path | None,
    workers: int,
    pools: tuple[str, ...],
    idle: str,
    api_port: int,
    scoring_port: int,
    detach: bool,
) -> None:
    """Start the whole platform on this machine.

    Redis, object store, API with dashboard, scoring, and the workers of each pool. Ctrl-C stops all of
    it in order. What it keeps is in .fitq.
    """
    from fitq import logs
    from fitq.local.home import FOLDER
    from fitq.local.stack import Stack
    from fitq.local.up import serve

    logs.configure("up")
    folder = data or Path(FOLDER)
    wanted = {"default": workers, **_pools(pools)}
    chosen = functions or (Path("functions") if Path("functions").is_dir() else None)
    stack = Stack(
        folder,
        functions=chosen,
        pools=wanted,
        idle_seconds=round(parse_seconds(idle)),
        api_port=api_port,
        scoring_port=scoring_port,
    )
    if detach:
        words = _words(stack, chosen, api_port, scoring_port)
        _detach(stack.home, words)
        return
    say(f"Starting on {stack.home.folder} …")
    serve(stack, on_ready=lambda _: _announce(stack), on_stop=lambda: say("Stopping …"))
    say("Stopped.")


def _pools(given: tuple[str, ...]) -> dict[str, int | Workers]:
    from fitq.local.scaling import parse_workers

    pools = {}
    for text in given:
        name, _, number = text.partition("=")
        if name in pools:
            raise InvalidRequest(f"--pool gives {name!r} twice.", hint="Give each pool once.")
        try:
            pools[name] = parse_workers(number)
        except InvalidRequest as exc:
            hint = "Write it like --pool cpu=2, or --pool cpu=0..4."
            raise InvalidRequest(f"--pool {text} is not NAME=N.", hint=hint) from exc
    return pools


def _announce(stack: Stack) -> None:
    stack.home.tell_here()
    _addresses(stack.settings.url, stack.settings.scoring_url)
    say("Ctrl-C stops it.")


def _addresses(url: str, scoring_url: str) -> None:
    facts([("API and dashboard", url), ("Scoring", scoring_url)])
    sys.stdout.flush()
    next_step("fitq dashboard", "fitq submit train.py --follow", "fitq functions list")


def _words(stack: Stack, functions: Path | None, api_port: int, scoring_port: int) -> list[str]:
    """The options of a `fitq up` that does the same in the foreground."""
    pools = [f"--pool={name}={workers}" for name, workers in stack.pools.items()]
    folder = [f"--functions={functions}"] if functions else []
    ports = [f"--api-port={api_port}", f"--scoring-port={scoring_port}"]
    return [f"--data={stack.home.folder}", *folder, *pools, f"--idle={stack.idle_seconds}s", *ports]


def _detach(home: Home, words: list[str]) -> None:
    from fitq.local.up import StartFailed, detach

    if home.is_held:
        home.claim()  # raises: it is already running, and where
    say(f"Starting on {home.folder} …")
    try:
        detach(home, words)
    except StartFailed as exc:
        say(exc.said.rstrip())
        click.get_current_context().exit(exc.exit_code if exc.exit_code > 0 else 3)
    state = home.state()
    _addresses(state["url"], state["scoring_url"])


@command("down", "fitq down", "fitq down --data /srv/fitq", "fitq down && fitq up --detach")
@_data
def down(data: Path | None) -> None:
    """Stop the platform on this machine.

    Workers hand back what they execute; everything kept stays in the data folder.
    """
    from fitq.local.home import find_home
    from fitq.local.up import down as stop

    home = find_home(data)
    if home.is_held:
        say(f"Stopping on {home.folder} …")
    stop(home)
    say(f"Stopped. What it kept is in {home.folder}.")
    next_step("fitq up")


@command("status", "fitq status", "fitq status --json", "fitq status --data /srv/fitq")
@_data
@json_option
def status(data: Path | None, as_json: bool) -> None:
    """Show the platform on this machine.

    Its addresses, its programs and its pools. Exit code 2 if none is running.
    """
    from fitq.local.home import find_home

    home = find_home(data)
    if not home.is_held:
        raise NotFound(f"No platform is running on {home.folder}.", hint="Start one with: fitq up")
    state = {"data": str(home.folder), "programs": [], **home.state()}
    state |= _answers_of(home, state)
    if as_json:
        result_json(state)
        return
    names = {"API and dashboard": "url", "Scoring": "scoring_url", "Data": "data", "Process": "pid"}
    stores = {"Redis": state["redis"]} if state["redis"] not in ("ok", None) else {}
    facts([*((name, state.get(key)) for name, key in names.items()), *stores.items()])
    click.echo()
    programs = [(p["name"], p["pid"] or "restarting", p["restarts"], p["log"]) for p in state["programs"]]
    table(["PROGRAM", "PID", "RESTARTS", "LOG"], programs)
    click.echo()
    table(
        ["POOL", "WORKERS", "QUEUED", "RUNNING"],
        [(p["name"], p["workers"], p["queued"], p["running"]) for p in state["pools"]],
    )


def _answers_of(home: Home, state: dict[str, Any]) -> dict[str, Any]:
    """Pools and the state of Redis, from the API; none while it is starting or away."""
    from fitq.records import to_builtins
    from fitq.sdk.client import Client
    from fitq.sdk.connection import Connection, find_connection

    if not state.get("ready", "url" in state):
        say("It is just starting.")
        return {"pools": [], "redis": None}
    try:
        connection: Connection = find_connection(home.config, environment={})
        with Client.connect(connection) as client:
            pools = [to_builtins(pool) for pool in client.pools()]
            return {"pools": pools, "redis": client.get("/readyz")["redis"]}
    except FitqError as exc:
        say(f"The API does not answer yet: {exc.message}")
        return {"pools": [], "redis": None}
