"""The things fitq keeps, as frozen values. A change is a new value; JSON in and out lives here, so
stores, HTTP and SDK share one definition. What each thing is for: docs/glossary.md."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from fitq.errors import InvalidRequest

JsonScalar = str | int | float | bool | None
Json = JsonScalar | list[Any] | dict[str, Any]


class RunStatus(enum.StrEnum):
    """Where a run is, in Azure's spelling."""

    QUEUED = "Queued"  #: accepted; waits for a worker of its pool
    PREPARING = "Preparing"  #: a worker fetches its snapshot, inputs and environment
    RUNNING = "Running"  #: the user's code runs
    FINALIZING = "Finalizing"  #: outputs and logs are being kept
    COMPLETED = "Completed"  #: it ended with exit code 0
    FAILED = "Failed"  #: it did not; `failure` says why
    CANCELED = "Canceled"  #: somebody stopped it

    @property
    def is_final(self) -> bool:
        return not TRANSITIONS[self]


#: The only way from one status to the next. Back to Queued: an attempt was lost or handed back.
TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.PREPARING, RunStatus.CANCELED, RunStatus.FAILED}),
    RunStatus.PREPARING: frozenset(
        {
            RunStatus.RUNNING,
            RunStatus.QUEUED,
            RunStatus.FINALIZING,
            RunStatus.CANCELED,
            RunStatus.FAILED,
        }
    ),
    RunStatus.RUNNING: frozenset(
        {RunStatus.FINALIZING, RunStatus.QUEUED, RunStatus.CANCELED, RunStatus.FAILED}
    ),
    RunStatus.FINALIZING: frozenset(
        {RunStatus.COMPLETED, RunStatus.QUEUED, RunStatus.CANCELED, RunStatus.FAILED}
    ),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELED: frozenset(),
}


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of everything that is kept. Unknown fields are ignored: newer programs may add some."""


RecordT = TypeVar("RecordT", bound=msgspec.Struct)


class TimelineEntry(Record, frozen=True, kw_only=True):
    """One change of a run's status."""

    status: RunStatus
    at: datetime
    attempt: int
    reason: str = ""  #: why, where it is not the ordinary course of things


class Failure(Record, frozen=True, kw_only=True):
    """Why a run ended as Failed or Canceled."""

    kind: str  #: user_error, import_error, killed, …; all: docs/how-to/why-did-my-run-fail.md
    message: str  #: one sentence
    lines: list[str] = []  #: the decisive lines of the log, oldest first
    hint: str = ""  #: the likely fix
    exit_code: int | None = None  #: negative: ended by that signal
    where: str = ""  #: the last line of the user's own that led there: train.py:12
    versions: dict[str, str] = {}  #: of the packages that explain it, as they were installed


class Usage(Record, frozen=True, kw_only=True):
    """What a run used, measured."""

    queue_seconds: float = 0.0  #: from accepted to claimed
    run_seconds: float = 0.0  #: wall time of the user's process
    cpu_seconds: float = 0.0  #: user + system time of all processes of the run
    peak_memory_bytes: int = 0  #: most that its largest process used, or that all were seen to use together


class Resources(Record, frozen=True, kw_only=True):
    """What a run asks for."""

    cpus: float | None = None
    memory_bytes: int | None = None


class EnvironmentRecord(Record, frozen=True, kw_only=True):
    """The packages a run asked for and what it really got."""

    name: str = "worker"  #: as the user called it
    spec: dict[str, Any] | None = None  #: as it was sent, in one of the forms of `environments/reading.py`
    resolved_to: str = ""  #: "worker", the name of a curated one, or the first 12 digits of `hash`
    hash: str = ""  #: of exact packages, Python and platform; empty: the interpreter of the worker itself
    python: str = ""  #: release of the interpreter that was really used
    substitutions: list[str] = []  #: what was not taken as it was asked for, a sentence each
    warnings: list[str] = []  #: those of them that may matter


class EnvironmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/environments`: a name, and one of conda, pip, pyproject, script."""

    name: str
    conda: dict[str, Any] | None = None  #: a conda file, decoded
    pip: list[str] | None = None  #: lines of a requirements file
    pyproject: str | None = None  #: text of a pyproject.toml
    script: str | None = None  #: text of a script with a PEP 723 header
    python: str = ""
    strict: bool = False
    exclude_newer: str = ""
    description: str = ""
    pool: str | None = None  #: whose worker builds it
    build: bool = True  #: False: only registered; built when a run needs it


class EnvironmentBuild(Record, frozen=True, kw_only=True):
    """The last build of a named environment."""

    run: str  #: the run that is the build
    status: RunStatus
    at: datetime
    hash: str = ""  #: of the exact packages, once they are known
    python: str = ""
    packages: dict[str, str] = {}
    warnings: list[str] = []
    failure: Failure | None = None


class NamedEnvironment(Record, frozen=True, kw_only=True):
    """A version of an environment that has a name. Never changes, but for its last build."""

    name: str
    version: int
    created_at: datetime | None = None  #: None: curated
    description: str = ""
    spec: dict[str, Any] | None = None  #: as it was sent; None: curated
    requirements: list[str] = []  #: canonical
    python: str = ""  #: specifier; empty: any
    is_curated: bool = False
    digest: str = ""
    build: EnvironmentBuild | None = None

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"


class Versions(Record, frozen=True, kw_only=True):
    """What really ran."""

    python: str = ""
    packages: dict[str, str] = {}  #: distribution name in lower case → version

    @property
    def told(self) -> str:
        """In one line, those that decide what a model answers."""
        named = [f"{n} {self.packages[n]}" for n in ("scikit-learn", "numpy") if n in self.packages]
        return ", ".join([*named, f"Python {self.python}"] if self.python else named) or "unknown versions"


class Registration(Record, frozen=True, kw_only=True):
    """What is to be said of a file when it becomes a model."""

    name: str
    path: str | None = None  #: of the file in its run; None: the one that can only be meant
    description: str = ""
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    framework: str = "ScikitLearn"
    framework_version: str = ""
    resources: dict[str, float] = {}
    sample_input: list[Any] | None = None  #: rows as lists, records as objects, or texts


class RegisterRequest(Registration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/models` (JSON), or its `metadata` field (multipart, with a `file`)."""

    run: str | None = None
    #: in which it is loaded, of a file whose run does not tell: a specification, a hash, or "platform"
    environment: str | dict[str, Any] | None = None


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
    environment_variables: dict[str, str] = {}
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
    environment_variables: dict[str, str] = {}
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
    error: str = ""  #: set instead of parameters when its file did not import
    snapshot: str = ""  #: of its published code; empty: it is from the worker's own functions folder


class FunctionVersion(Record, frozen=True, kw_only=True):
    """Code that was published once."""

    snapshot: str  #: SHA-256 of the folder's bytes
    published_at: datetime


class FunctionCode(Record, frozen=True, kw_only=True):
    """A training function published as code: workers of its pool take it from the object store."""

    name: str
    pool: str
    snapshot: str  #: what new runs get; a run keeps the one that it was submitted with
    updated_at: datetime
    versions: list[FunctionVersion] = []  #: newest first; any of them can be made the current one again


class FunctionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/functions/{name}`."""

    snapshot: str  #: id of an uploaded folder that holds the function
    pool: str = "default"  #: whose workers run it, whatever its decorator says


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


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/pools/{name}`."""

    min_workers: int = 0
    max_workers: int | None = None
    idle_seconds: int = 300


class Column(Record, frozen=True, kw_only=True):
    """One input column of a model."""

    kind: str  #: number, integer, boolean or string
    name: str = ""  #: empty when the model was fitted on an array without names
    nullable: bool = False  #: whether the model's own pipeline takes missing values


class InputSchema(Record, frozen=True, kw_only=True):
    """What rows a model takes. `layout` is "rows" (a list of rows) or "texts" (a list of strings)."""

    columns: list[Column]
    layout: str = "rows"
    example: list[Any] = []  #: rows that the model was seen to answer
    source: str = "model"  #: "sample_input", or "model": what the fitted estimator tells

    @property
    def width(self) -> int:
        return len(self.columns)


class ModelRecord(Record, frozen=True, kw_only=True):
    """A registered artifact: name, version, input schema, and the run it came from.

    Never changes, but for tags, description and whether other answers are tolerated.
    """

    name: str
    version: int
    created_at: datetime
    path: str  #: the artifact's path in its run, or the uploaded file's name
    sha256: str
    size_bytes: int
    object_key: str  #: where the bytes are
    run: str | None = None
    experiment: str | None = None
    description: str = ""
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    framework: str = "ScikitLearn"  #: as declared
    framework_version: str = ""  #: as declared; serving goes by `versions`
    versions: Versions = Versions()  #: what really wrote the file
    environment: str = (
        ""  #: hash of the environment it was made in; empty: that of a worker or of the platform
    )
    resources: dict[str, float] = {}  #: cpu, memory_in_gb, gpu as declared
    estimator: str = ""  #: class name of the fitted object
    methods: list[str] = []  #: predict-like methods it has
    default_method: str = "predict"
    input_schema: InputSchema | None = None  #: None: not something that can be scored
    classes: list[Json] = []
    warnings: list[str] = []
    names: list[str] | None = None  #: all that its file may import, `module name` each; None: it is trusted
    golden: str = ""  #: SHA-256 of its recorded answers; empty if there are none
    tolerated: bool = False  #: an operator lets it be served also where it answers otherwise than recorded
    deleted_at: datetime | None = None  #: set when it was deleted; its number is not used again
    workspace: str = "default"
    nonce: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"


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


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/models/{name}`: what can be said about a model whose versions are there."""

    aliases: dict[str, int] = {}  #: alias → version; an alias that is not named is taken away


class DataFile(Record, frozen=True, kw_only=True):
    """One file of a version of data: its bytes are those of its parts, one after another."""

    path: str  #: relative, with forward slashes
    size_bytes: int
    parts: list[str]  #: SHA-256 of each, 64 lower-case hex digits


class DataRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/data`: a file or folder whose parts are there already."""

    name: str
    files: list[DataFile]
    is_folder: bool = False  #: runs get the folder; otherwise its one file
    description: str = ""
    tags: dict[str, str] = {}


class DataRecord(Record, frozen=True, kw_only=True):
    """A version of a named file or folder that runs take as input. Never changes."""

    name: str
    version: int
    created_at: datetime
    files: list[DataFile]
    is_folder: bool
    digest: str  #: SHA-256 of what is in it: the same content is the same version
    description: str = ""
    tags: dict[str, str] = {}

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /v1/models/{name}/versions/{v}`. What is left out stays as it is."""

    tags: dict[str, str | None] | None = None  #: new and changed ones; null takes a tag away
    description: str | None = None
    tolerated: bool | None = None  #: serve it also where it answers otherwise than when it was registered


class EndpointRecord(Record, frozen=True, kw_only=True):
    """A stable address that scores with chosen versions of a model, behind keys."""

    name: str
    model: str
    traffic: dict[str, int]  #: version → percent, 100 in all
    created_at: datetime
    updated_at: datetime
    auth: str = "key"  #: key, token or none
    method: str | None = None  #: predict-like method used when a request names none
    description: str = ""
    tags: dict[str, str] = {}
    key_generations: dict[str, int] = msgspec.field(default_factory=lambda: {"primary": 1, "secondary": 1})
    workspace: str = "default"


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/endpoints/{name}`."""

    model: str
    traffic: dict[str, int] | None = None  #: None: the newest version gets everything
    auth: str = "key"
    method: str | None = None
    description: str = ""
    tags: dict[str, str] = {}


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def to_json(value: object) -> bytes:
    """Any record, or lists and dicts of them, as JSON. NaN and infinity become null."""
    return msgspec.json.encode(value)


def to_builtins(value: object) -> Any:
    """Any record as plain dicts and lists, with times as RFC 3339 text."""
    return msgspec.to_builtins(value)


def from_json(data: bytes | str, kind: type[RecordT]) -> RecordT:
    """A record from JSON that a program of ours wrote or a client sent.

    Raises:
        InvalidRequest: malformed JSON or a wrong field; `at` is the JSON path.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        text = str(exc)
        message, _, path = text.partition(" - at `")
        raise InvalidRequest(
            f"The JSON body is wrong: {message}.", at=path.rstrip("`") or "$", hint=_fields_of(kind)
        ) from exc
    except RecursionError as exc:
        raise InvalidRequest("The JSON body is nested too deeply.", at="$") from exc


def from_builtins(value: object, kind: type[RecordT]) -> RecordT:
    """A record from decoded JSON (the SDK's side of an answer)."""
    return msgspec.convert(value, type=kind)


def _fields_of(kind: type[msgspec.Struct]) -> str:
    return f"Fields: {', '.join(f.name for f in msgspec.structs.fields(kind))}."
