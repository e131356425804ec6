"""Runs: one execution, from its request to its final record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from fitq.records.base import Failure, Json, JsonScalar, Record, Resources, Versions
from fitq.records.environment import EnvironmentRecord
from fitq.records.model import ModelRecord, Registration
from fitq.records.status import RunStatus


class TimelineEntry(Record, frozen=True, kw_only=True):
    """One change of a run's status."""

    status: RunStatus
    at: datetime
    attempt: int
    reason: str = ""  #: why, where it is not the ordinary course of things


class Usage(Record, frozen=True, kw_only=True):
    """What a run used, measured."""

    queue_seconds: float = 0.0  #: that it waited in its queue, before all of its attempts together
    run_seconds: float = 0.0  #: wall time of the user's process
    cpu_seconds: float = 0.0  #: user + system time of all processes of the run
    peak_memory_bytes: int = 0  #: most that its largest process used, or that all were seen to use together


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/runs`. Exactly one of function, script, command."""

    experiment: str = "default"
    function: str | None = None
    snapshot: str | None = None
    script: str | None = None
    command: str | None = None
    arguments: list[str | int | float] = []
    parameters: dict[str, JsonScalar] = {}
    environment: str | dict[str, Any] | None = None
    pool: str | None = None
    resources: Resources = Resources()
    inputs: dict[str, str] = {}
    timeout_seconds: float | None = None
    max_attempts: int = 3
    retry_failures: bool = False  #: whether an attempt that failed by itself is followed by another too
    environment_variables: dict[str, str] = {}
    secrets: list[str] = []  #: names only: its worker has the values, and makes them variables
    tags: dict[str, str] = {}
    display_name: str = ""
    git: dict[str, str] = {}
    register: list[Registration] = []  #: files that become models when the run completes


class RunRecord(Record, frozen=True, kw_only=True):
    """One execution of a function or script. Changes until its status is final."""

    id: str
    experiment: str
    status: RunStatus
    created_at: datetime
    pool: str
    function: str | None = None
    snapshot: str | None = None  #: SHA-256 of the snapshot's bytes
    script: str | None = None  #: path inside the snapshot
    command: str | None = None
    arguments: list[str] = []
    parameters: dict[str, JsonScalar] = {}
    environment: EnvironmentRecord = EnvironmentRecord()
    resources: Resources = Resources()
    inputs: dict[str, str] = {}
    timeout_seconds: float | None = None
    max_attempts: int = 3
    retry_failures: bool = False  #: whether an attempt that failed by itself is followed by another too
    environment_variables: dict[str, str] = {}
    secrets: list[str] = []  #: names of what its process is told and nobody else
    tags: dict[str, str] = {}
    display_name: str = ""
    git: dict[str, str] = {}
    register: list[Registration] = []  #: asked for at submission, and by the script itself
    parent: str = ""  #: the run whose script made it, for a child run
    attempt: int = 0  #: 0 until first claimed
    worker: str = ""  #: who holds the attempt
    claim_id: str = ""  #: random, new with every claim: the fencing token of every later write
    losses: int = 0  #: attempts that were lost with their worker; `max_attempts` bounds them
    cancel_requested: bool = False
    timeline: list[TimelineEntry] = []
    warnings: list[str] = []
    properties: dict[str, str] = {}  #: facts the run stated about itself; never changed afterwards
    failure: Failure | None = None
    versions: Versions = Versions()
    isolation: list[str] = []  #: the rungs that separated it from its machine: see `isolation/ladder.py`
    usage: Usage = Usage()
    workspace: str = "default"
    idempotency: str = ""  #: digest of the key it was submitted with
    request_digest: str = ""  #: of the request itself: the same key must carry the same request
    sequence: int = 0  #: counts changes; a store replaces version n only by n + 1

    @property
    def actor(self) -> str:
        """The training function that executes it: its own, or the one that runs scripts."""
        return self.function or "run_script"

    @property
    def attempt_id(self) -> str:
        """Names the attempt for ever. Its number alone does not: a lost Redis loses count."""
        return f"{self.attempt}-{self.claim_id}" if self.claim_id else str(self.attempt)

    @property
    def title(self) -> str:
        """What ran, in one word for lists."""
        return self.display_name or self.function or self.script or self.command or self.id


class ArtifactRecord(Record, frozen=True, kw_only=True):
    """A file a run left behind. Never changes."""

    path: str  #: relative to the run's folder, with forward slashes: outputs/model.joblib
    size_bytes: int
    sha256: str = ""  #: 64 lower-case hex digits; empty while the run still writes it


class MetricPoint(Record, frozen=True, kw_only=True):
    """One logged value."""

    name: str
    value: Json  #: number, text, list, or for log_row and log_table one row as an object
    at: datetime
    step: int | None = None


class ChildRun(Record, frozen=True, kw_only=True):
    """A part of a run, made inside its script. It ends with the run that made it."""

    number: int  #: 1, 2, 3 … in the order they were made
    display_name: str = ""
    created_at: datetime
    ended_at: datetime
    status: RunStatus
    failure: Failure | None = None
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    metrics: list[MetricPoint] = []
    artifacts: list[ArtifactRecord] = []


class FinalRecord(Record, frozen=True, kw_only=True):
    """What is known of a run for ever: written once, with put-if-absent."""

    run: RunRecord
    artifacts: list[ArtifactRecord] = []
    metrics: list[MetricPoint] = []
    children: list[ChildRun] = []
    models: list[ModelRecord] = []  #: drafts of what it registers; their versions are decided afterwards
    nonce: str = ""  #: tells a retry of our own put from somebody else's
