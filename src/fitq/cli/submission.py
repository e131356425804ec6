"""What `fitq submit` and `fitq call` have in common: options of a run, and what follows its submission."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from fitq.cli.follow import conclude, talk, watch
from fitq.cli.given import pairs
from fitq.cli.output import next_step, result, say
from fitq.errors import InvalidRequest, RunFailed
from fitq.names import check_name
from fitq.records import Registration, Resources, RunRecord, RunRequest, RunStatus
from fitq.sdk.client import Client
from fitq.sdk.environment import Environment, environment_request
from fitq.sdk.watching import models_of
from fitq.units import parse_bytes, parse_seconds


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options that every submission takes, as typed."""

    experiment: str
    environment: str | None
    pool: str | None
    input: tuple[str, ...]
    env: tuple[str, ...]
    secret: tuple[str, ...]
    tag: tuple[str, ...]
    memory: str | None
    cpus: float | None
    timeout: str | None
    retries: int | None
    retry_failures: bool
    name: str
    register: str | None
    wait: bool
    follow: bool

    def apply(self, request: RunRequest) -> RunRequest:
        """The request with these options in it.

        Raises:
            InvalidRequest: one of them cannot be understood.
        """
        changes: dict[str, Any] = {
            "experiment": self.experiment,
            "environment": environment_given(self.environment) if self.environment else request.environment,
            "pool": self.pool,
            "inputs": pairs("--input", self.input),
            "environment_variables": pairs("--env", self.env),
            "secrets": list(self.secret),
            "tags": pairs("--tag", self.tag),
            "resources": Resources(
                cpus=_cores(self.cpus), memory_bytes=parse_bytes(self.memory) if self.memory else None
            ),
            "timeout_seconds": parse_seconds(self.timeout) if self.timeout else None,
            "display_name": self.name,
            "register": [_registration(self.register)] if self.register else [],
        }
        if self.retry_failures:
            changes["retry_failures"] = True
        if self.retries is not None:
            changes["max_attempts"] = self.retries + 1
        return msgspec.structs.replace(request, **changes)


_OPTIONS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
    click.option(
        "--experiment", "-e", default="default", show_default=True, help="Under which runs are compared."
    ),
    click.option(
        "--environment",
        metavar="NAME_OR_FILE",
        help="Name, conda YAML, requirements.txt, pyproject.toml or script with a header.",
    ),
    click.option("--pool", help="Whose workers run it.  [default: default, or the function's own]"),
    click.option(
        "--input",
        multiple=True,
        metavar="NAME=DATA",
        help="Data that it takes: flowers=iris-csv:2. May be repeated.",
    ),
    click.option("--env", multiple=True, metavar="K=V", help="Environment variable. May be repeated."),
    click.option(
        "--secret",
        multiple=True,
        metavar="NAME",
        help="Secret that the pool's workers have; the run finds it as a variable. May be repeated.",
    ),
    click.option("--tag", multiple=True, metavar="K=V", help="Tag. May be repeated."),
    click.option("--memory", metavar="SIZE", help="Most memory, like 512MiB or 2GiB.  [default: no limit]"),
    click.option("--cpus", type=float, help="CPU cores.  [default: no limit]"),
    click.option("--timeout", metavar="TIME", help="Longest time, like 90s, 10m or 1h.  [default: no limit]"),
    click.option(
        "--retries",
        type=click.IntRange(0, 100),
        help="Attempts after the first, if one is lost.  [default: 2]",
    ),
    click.option(
        "--retry-failures", is_flag=True, help="Use them also after an attempt that failed by itself."
    ),
    click.option("--name", default="", help="What it is called in lists."),
    click.option(
        "--register",
        metavar="MODEL[=PATH]",
        help="Let a file of it become a model when it completes; implies --wait.",
    ),
    click.option("--wait", is_flag=True, help="Return when it has ended; exit code 1 if it failed."),
    click.option("--follow", is_flag=True, help="Show its log meanwhile (on stderr); implies --wait."),
]


def run_options(target: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a run; the command receives them as one `options`."""

    @functools.wraps(target)
    def wrapped(**given: Any) -> Any:
        own = {field: given.pop(field) for field in RunOptions.__dataclass_fields__}
        return target(options=RunOptions(**own), **given)

    decorated: Callable[..., Any] = wrapped
    for option in _OPTIONS[::-1]:
        decorated = option(decorated)
    return decorated


def submit_and_see(client: Client, request: RunRequest, options: RunOptions) -> None:
    """Submit, print the id, and do what the options ask for afterwards.

    Raises:
        RunFailed: it was waited for, and did not complete.
    """
    run = client.submit_run(options.apply(request))
    result(run.id)
    sys.stdout.flush()
    if run.status is RunStatus.QUEUED and run.timeline[-1].reason:
        say(f"Note: {run.timeline[-1].reason}")
    if not (options.wait or options.follow or options.register):
        next_step(f"fitq runs logs {run.id} --follow", f"fitq runs show {run.id}")
        return
    ended = watch(client, run.id, talk() if options.follow else None)
    conclude(ended)
    if ended.register:
        _tell_models(client, ended)
        return
    next_step(f"fitq runs metrics {run.id}", f"fitq models register MODEL --run {run.id}")


def _cores(given: float | None) -> float | None:
    """JSON has no nan and no infinity: they would travel as no limit at all."""
    if given is not None and not math.isfinite(given):
        raise InvalidRequest(f"--cpus {given} is no number of cores.", hint="Write it like --cpus 2.")
    return given


def _registration(wanted: str) -> Registration:
    name, _, path = wanted.partition("=")
    return Registration(name=check_name("model", name), path=path or None)


def _tell_models(client: Client, run: RunRecord) -> None:
    """Say which versions the run became: they follow its end within moments.

    Raises:
        RunFailed: it completed, and its warnings say why there is no model of it.
    """
    models = models_of(client, run)
    for model in models:
        say(f"Registered {model.id} from {model.path}.")
    if not models:
        raise RunFailed(
            f"Run {run.id} completed, but no model was registered.",
            hint=f"What it left: fitq runs artifacts {run.id}",
        )
    next_step(f"fitq score {models[0].name}")


def environment_given(given: str) -> str | dict[str, Any] | None:
    """A name, or what a file that lists packages says."""
    file = Path(given)
    if file.suffix in (".yml", ".yaml", ".txt", ".toml", ".py") or file.is_file():
        return environment_request(Environment.from_file(file))
    return given
