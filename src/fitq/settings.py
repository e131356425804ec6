"""Every setting, once: name, default, meaning. Read in a composition root, handed down, never global."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from fitq.errors import InvalidRequest


def _setting(default: Any, help: str, *, example: str = "", secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help, "example": example, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one program was told from outside. The variable of field `x` is `FITQ_X`."""

    # Where things are
    redis_url: str = _setting(
        "redis://127.0.0.1:6379/0",
        "Redis or Valkey: what changes",
        example="redis://:pw@redis:6379/0",
        secret=True,
    )
    s3_url: str = _setting(
        "http://127.0.0.1:9000", "S3 address: what does not change", example="http://minio:9000"
    )
    s3_access_key: str = _setting("", "S3 access key", example="fitq")
    s3_secret_key: str = _setting("", "S3 secret key", secret=True)
    bucket: str = _setting("fitq", "bucket that holds everything", example="fitq")
    workspace: str = _setting("default", "workspace served", example="default")
    # What clients are told
    url: str = _setting("http://127.0.0.1:8700", "control-plane address", example="http://host:8700")
    scoring_url: str = _setting("http://127.0.0.1:8701", "scoring address", example="http://host:8701")
    scoring_inside_url: str = _setting(
        "", "scoring as the API reaches it, where clients use another address", example="http://scoring:8701"
    )
    token: str = _setting("", "bearer token that opens everything", secret=True)
    scaler_token: str = _setting(
        "",
        "bearer token that reads pools, GET /v1/pools/NAME, and opens nothing else; none if empty",
        secret=True,
    )
    # Where programs listen
    api_host: str = _setting("127.0.0.1", "address the API binds", example="0.0.0.0")
    api_port: int = _setting(8700, "port of API and dashboard", example="8700")
    scoring_host: str = _setting("127.0.0.1", "address scoring binds", example="0.0.0.0")
    scoring_port: int = _setting(8701, "port of scoring", example="8701")
    allowed_hosts: str = _setting(
        "127.0.0.1,localhost,[::1]",
        "Host headers that are answered, besides those of the two addresses; '*' for any",
        example="ml.example.org",
    )
    # Workers
    pool: str = _setting("default", "pool this worker reads", example="cpu")
    slots: int = _setting(1, "runs this worker process executes at once", example="1")
    one_shot: int = _setting(0, "1: the worker executes one run, or none if nothing waits, and ends")
    functions: str = _setting("", "folder of training functions", example="./functions")
    work_dir: str = _setting(
        "",
        "where runs execute, and what they take as input is kept; ~/.cache/fitq/work if empty",
        example="/work",
    )
    inputs_bytes: int = _setting(
        20_000_000_000, "data of runs kept on a worker's disk; what was used longest ago goes first"
    )
    warm_start: int = _setting(
        1, "1: scripts and functions start as forks of a process that has imported scikit-learn; 0: afresh"
    )
    capture: int = _setting(
        1,
        "1: the last model that a script fits and does not save is kept, and figures that it shows; 0: not",
    )
    environments: str = _setting(
        "",
        "where environments are built and kept; ~/.cache/fitq/environments if empty",
        example="/environments",
    )
    environments_bytes: int = _setting(
        20_000_000_000, "disk for environments; the least recently used are removed", example="20000000000"
    )
    pythons: str = _setting(
        "", "more interpreters for environments, separated by ':'", example="/opt/python3.8/bin/python"
    )
    python_downloads: int = _setting(
        1, "1: an interpreter that is not on the machine is fetched, if uv can get it; 0: never"
    )
    warm_environments: int = _setting(
        4,
        "so many environments and grants of cpus keep a process that has imported scikit-learn, "
        "for runs to start as its forks",
    )
    index_seconds: float = _setting(
        60.0, "how long a run waits for a package index that is away, before it goes back to its queue"
    )
    run_disk_bytes: int = _setting(
        0, "most disk that one run's folder may take; 0: as much as there is", example="20000000000"
    )
    free_disk_bytes: int = _setting(
        200_000_000, "a worker starts no run while its disk has less than this free: runs wait"
    )
    output_bytes: int = _setting(50_000_000_000, "most bytes kept of one run's outputs and logs")
    run_processes: int = _setting(
        4000, "most processes and threads of one run, where control groups can be made", example="4000"
    )
    secrets_folder: str = _setting(
        "",
        "folder with a file for each secret that runs may name; variables FITQ_SECRET_<NAME> are others",
        example="/run/secrets/fitq",
    )
    isolation: str = _setting(
        "auto",
        "auto: runs, and what loads models, are as separate from this machine as it can do; "
        "off: only their processes are",
    )
    run_paths: str = _setting(
        "", "folders of this machine that runs may read and write, separated by ':'", example="/data:/scratch"
    )
    private_paths: str = _setting(
        "",
        "folders that no run or model may see, besides those of the platform, separated by ':'",
        example="/backup",
    )
    grace_seconds: float = _setting(3.0, "between SIGTERM and SIGKILL of a run", example="3")
    lease_seconds: float = _setting(
        15.0, "after so long without a sign of its worker a run is given to another", example="15"
    )
    log_bytes: int = _setting(20_000_000, "log kept per run; more is cut and said so")
    # Limits of what is sent to us (Azure's numbers for snapshots)
    snapshot_bytes: int = _setting(300_000_000, "largest snapshot, unpacked", example="300000000")
    snapshot_files: int = _setting(2000, "most files in a snapshot", example="2000")
    body_bytes: int = _setting(10_000_000, "largest JSON body", example="10000000")
    client_seconds: float = _setting(
        10.0,
        "longest that a client may take to send a request's head; its body has to bring 1000 bytes a second",
        example="30",
    )
    model_names: str = _setting(
        "",
        "names that uploaded model files may import besides those of scikit-learn, separated by ','",
        example="lightgbm.sklearn.LGBMClassifier",
    )
    model_bytes: int = _setting(2_000_000_000, "largest uploaded model file")
    # Scoring
    scoring_processes: int = _setting(
        1, "processes that answer at scoring's port, each with its own scorers and models", example="4"
    )
    scoring_model: str = _setting(
        "",
        "model (or model:version) that answers at /invocations and /ping; the only registered one if empty",
        example="iris:champion",
    )
    warm_models: str = _setting(
        "",
        "models that scoring loads before it is ready: NAME, NAME:VERSION or NAME:ALIAS, separated by ','",
        example="iris,churn:champion",
    )
    score_rows: int = _setting(100_000, "most rows in one scoring request", example="100000")
    score_seconds: float = _setting(60.0, "longest one prediction may take", example="60")
    score_waiting: int = _setting(
        512,
        "requests that may wait for one model, or for it to be loaded; more are answered 429",
        example="512",
    )
    scorer_idle_seconds: float = _setting(
        900.0,
        "a model that nobody asked for so long is unloaded, unless FITQ_WARM_MODELS names it; a scorer of "
        "another environment than scoring's own, or of an entry script, then ends",
    )
    scorer_memory_bytes: int = _setting(
        8_000_000_000,
        "memory of its own that one scorer may have, and looking into a model; 0: any amount",
        example="4000000000",
    )
    models_memory_bytes: int = _setting(
        2_000_000_000, "memory for loaded models in one scorer; beyond it the least used are unloaded"
    )
    models_disk_bytes: int = _setting(
        10_000_000_000,
        "disk for model files that scoring has fetched; those loaded the longest ago go first, and those of "
        "loaded models stay",
    )
    # How programs are run
    heartbeat: str = _setting(
        "",
        "file that a worker or scheduler touches while its loop turns, for `python -m fitq.heartbeat`; "
        "none if empty",
        example="/work/heartbeat",
    )
    scaled_pools: str = _setting(
        "",
        "pools whose workers are started by something else when runs wait, such as KEDA, separated by ','",
        example="default,cpu",
    )
    start_worker: str = _setting(
        "FITQ_POOL={pool} fitq worker",
        "what people are told who submit to a pool without workers: how it gets one; {pool} is its name",
        example="fitq pools scale {pool} 1",
    )
    # Logs
    log_format: str = _setting("text", "text or json", example="json")
    log_level: str = _setting("info", "debug, info, warning or error", example="info")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **changes: Any) -> Settings:
        """Read `FITQ_…` variables; `changes` win.

        Raises:
            InvalidRequest: a value has the wrong type; names variable, value and a good example.
        """
        types = get_type_hints(cls)
        values = {
            f.name: _convert(f, types[f.name], environment[variable(f.name)])
            for f in dataclasses.fields(cls)
            if environment.get(variable(f.name), "") != ""
        }
        return cls(**{**values, **changes})

    def to_environment(self) -> dict[str, str]:
        """The variables from which `from_environment` makes these settings again."""
        return {
            variable(f.name): str(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        }

    def __repr__(self) -> str:
        shown = (f"{f.name}={shown_value(f, getattr(self, f.name))}" for f in dataclasses.fields(self))
        return f"Settings({', '.join(shown)})"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"FITQ_{name.upper()}"


def shown_value(setting: dataclasses.Field[Any], value: object) -> str:
    """A value as it may be printed: secrets as `***`."""
    return "***" if setting.metadata["secret"] and value else repr(value)


def _convert(setting: dataclasses.Field[Any], kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError as exc:
        example = setting.metadata["example"] or setting.default
        raise InvalidRequest(
            f"{variable(setting.name)} is {text!r}, which is not {kind.__name__}.",
            hint=f"A good value is {example!r} ({setting.metadata['help']}).",
        ) from exc
