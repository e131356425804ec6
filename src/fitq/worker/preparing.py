"""The environment of one run while it is Preparing: chosen, built with its log shown, or refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from fitq.environments.builder import Environments
from fitq.environments.building import Watcher
from fitq.environments.curated import find_curated
from fitq.environments.interpreters import Choice
from fitq.environments.reading import read_spec
from fitq.environments.spec import EnvironmentSpec
from fitq.environments.tool import Interrupted
from fitq.errors import EnvironmentFailed, EnvironmentPostponed, NotFound
from fitq.records import EnvironmentRecord
from fitq.store import patience
from fitq.store.patience import patiently
from fitq.worker.runtime import OWN, Runtime

OWN_NAME = EnvironmentRecord().name  #: what it is called when no environment is asked for
_PAUSE_SECONDS = 2.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Prepared:
    """What a run executes in, and what is to be said of it."""

    runtime: Runtime
    record: EnvironmentRecord


def prepare(
    environments: Environments,
    asked: EnvironmentRecord,
    watcher: Watcher,
    *,
    patience_seconds: float = 60.0,
) -> Prepared:
    """The runtime that a run asked for.

    Args:
        patience_seconds: how long a package index may be away, or the disk full.

    Raises:
        EnvironmentFailed: it cannot be had as it is asked for.
        EnvironmentPostponed: not on this machine, or not now.
        Interrupted: the run is not wanted any more.
        Unavailable: the object store stayed away.
    """
    spec = _spec_of(asked)
    if spec == EnvironmentSpec():
        return Prepared(OWN, _own(asked))
    for note in spec.notes:
        watcher.say(note)
    choice = _chosen(environments, asked, spec, watcher)
    if choice.substitution:
        watcher.say(f"warning: {choice.substitution}")

    def built() -> Runtime:
        if watcher.interrupted():
            raise Interrupted
        return Runtime(environments.prepare(spec, choice, watcher))

    runtime = patiently(
        lambda: _patiently(built, watcher, patience_seconds),
        what="prepare the environment",
        seconds=patience.RUN_SECONDS,
    )
    return Prepared(runtime, _recorded(asked, spec, choice, runtime))


def _own(asked: EnvironmentRecord) -> EnvironmentRecord:
    empty = f"Environment {asked.name!r} names no packages: this run used its worker's own."
    return msgspec.structs.replace(
        asked,
        resolved_to=OWN_NAME,
        python=OWN.versions.python,
        warnings=[] if asked.name == OWN_NAME else [empty],
    )


def _spec_of(asked: EnvironmentRecord) -> EnvironmentSpec:
    if asked.spec is not None:
        return read_spec(asked.spec)
    if asked.name == OWN_NAME:
        return EnvironmentSpec()
    curated = find_curated(asked.name)
    if curated is None:
        raise NotFound(f"There is no environment {asked.name!r}.", hint="fitq environments list")
    return curated.spec


def _chosen(
    environments: Environments, asked: EnvironmentRecord, spec: EnvironmentSpec, watcher: Watcher
) -> Choice:
    try:
        return environments.choose(spec, watcher)
    except EnvironmentFailed as exc:
        message = f"Environment {asked.name!r} cannot be had on this worker. {exc.message}"
        raise EnvironmentFailed(message, hint=exc.hint) from exc


def _patiently(build: Callable[[], Runtime], watcher: Watcher, seconds: float) -> Runtime:
    """Try again for a while what is nobody's fault."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return build()
        except EnvironmentPostponed as exc:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise
            watcher.say(f"{exc.message} Trying again.")
        _wait(watcher)


def _wait(watcher: Watcher) -> None:
    until = time.monotonic() + _PAUSE_SECONDS
    while time.monotonic() < until:
        if watcher.interrupted():
            raise Interrupted
        time.sleep(_LOOK_SECONDS)


def _recorded(
    asked: EnvironmentRecord, spec: EnvironmentSpec, choice: Choice, runtime: Runtime
) -> EnvironmentRecord:
    assert runtime.folder is not None
    curated = None if asked.spec is not None else find_curated(asked.name)
    return msgspec.structs.replace(
        asked,
        resolved_to=curated.name if curated else runtime.folder.hash[:12],
        hash=runtime.folder.hash,
        python=runtime.folder.release,
        substitutions=[*spec.notes, *filter(None, [choice.substitution])],
        warnings=list(filter(None, [choice.substitution])),
    )
