"""Pools, their workers, and the training functions that these know."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from fitq.records.base import JsonScalar, Record, Versions
from fitq.records.environment import EnvironmentRecord


class Parameter(Record, frozen=True, kw_only=True):
    """One typed parameter of a training function."""

    name: str
    type: str  #: float, int, str, bool, or any
    required: bool
    default: JsonScalar = None
    choices: list[JsonScalar] = []  #: from a Literal annotation


class FunctionRecord(Record, frozen=True, kw_only=True):
    """A training function that a pool's workers know how to run."""

    name: str
    pool: str
    parameters: list[Parameter] = []
    description: str = ""
    file: str = ""  #: where it was loaded from, relative to the functions folder
    secrets: list[str] = []  #: names of those that every run of it is given
    error: str = ""  #: set instead of parameters when its file did not import
    snapshot: str = ""  #: of its published code; empty: it is from the worker's own functions folder
    environment: EnvironmentRecord = EnvironmentRecord()  #: that its runs execute in

    @property
    def problem(self) -> str:
        """Why it cannot run, as a clause; empty: it can."""
        return f"{self.file} does not import: {self.error}" if self.error and self.file else self.error


def version_of(snapshot: str, environment: EnvironmentRecord) -> str:
    """Names a folder of code with its environment: 64 hex digits; in none, those of the folder."""
    if environment.asked is None:
        return snapshot
    content = [snapshot, environment.content]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


class FunctionVersion(Record, frozen=True, kw_only=True):
    """Code that was published once, with its environment."""

    snapshot: str  #: SHA-256 of the folder's bytes
    published_at: datetime
    environment: EnvironmentRecord = EnvironmentRecord()

    @property
    def id(self) -> str:
        return version_of(self.snapshot, self.environment)


class FunctionCode(Record, frozen=True, kw_only=True):
    """A training function published as code: workers of its pool take it from the object store."""

    name: str
    pool: str
    snapshot: str  #: what new runs get; a run keeps the one that it was submitted with
    updated_at: datetime
    environment: str | dict[str, Any] | None = None  #: as it was asked for
    versions: list[FunctionVersion] = []  #: newest first; any of them can be made the current one again

    @property
    def current(self) -> FunctionVersion:
        """What new runs get."""
        known = self.versions[0] if self.versions else None
        return known or FunctionVersion(snapshot=self.snapshot, published_at=self.updated_at)


class FunctionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/functions/{name}`."""

    snapshot: str  #: id of an uploaded folder that holds the function
    pool: str = "default"  #: whose workers run it, whatever its decorator says
    environment: str | dict[str, Any] | None = (
        None  #: a name or a specification; None: the worker's own packages
    )


class WorkerRecord(Record, frozen=True, kw_only=True):
    """A live worker, as it last reported itself."""

    id: str
    pool: str
    slots: int
    seen_at: datetime
    started_at: datetime
    runs: list[str] = []  #: what it executes now
    fitq: str = ""  #: its version of fitq
    versions: Versions = Versions()
    isolation: list[str] = []  #: the rungs that separate its runs from its machine
    not_isolated: dict[str, str] = {}  #: rung → why it does not hold there
    problem: str = ""  #: why it starts no runs
    secrets: list[str] = []  #: names of those that it has for runs


class PoolRecord(Record, frozen=True, kw_only=True):
    """The workers that read one queue, and what waits there."""

    name: str
    queued: int = 0
    running: int = 0
    workers: int = 0
    min_workers: int = 0
    max_workers: int | None = None
    idle_seconds: int = 300
    oldest_queued_seconds: float | None = None
    demand: int = 0  #: workers that would have something to do: queued, running, and one to list new code
    isolation: list[str] = []  #: the rungs that every live worker's runs have
    not_isolated: dict[str, str] = {}  #: rung → why it does not hold on some worker
    problem: str = ""  #: why a worker of it starts no runs
    secrets: list[str] | None = None  #: the only ones that its runs may name; null: all that its workers have
    offered_secrets: list[str] = []  #: names that a run may give: every live worker has them
    broken: dict[str, str] = {}  #: training functions of it that cannot run → why


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/pools/{name}`."""

    min_workers: int = 0
    max_workers: int | None = None
    idle_seconds: int = 300
    secrets: list[str] | None = None  #: of those that its workers have, the only ones for its runs; null: all
