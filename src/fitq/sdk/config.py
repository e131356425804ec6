"""What to submit: a script with its folder, arguments and environment, or a call of a training function."""

from __future__ import annotations

import copy
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitq.context import plain_value
from fitq.errors import InvalidRequest
from fitq.functions import described
from fitq.names import check_name
from fitq.records import JsonScalar, Resources, RunRequest
from fitq.sdk.absent import absent
from fitq.sdk.environment import Environment, environment_request

AZURE_RUN_SECONDS = 2592000  # thirty days, the default of Azure's ScriptRunConfig


@dataclass
class DockerConfiguration:
    """Accepted and not used: runs are isolated processes, not containers."""

    use_docker: bool = False
    shared_volumes: bool = True
    arguments: list[str] | None = None
    shm_size: str | None = None


class RunConfiguration:
    """How a run executes: where, with which packages."""

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: Any = None,
        command: str | Sequence[str] | None = None,
    ) -> None:
        self.script = script
        self.arguments: list[Any] = list(arguments or [])
        self.command = command
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.target: Any = "local"
        self.environment: Environment | str | None = None
        self.environment_variables: dict[str, str] = {}
        self.secrets: list[str] = []
        self.docker = DockerConfiguration()
        self.node_count = 1
        self.max_run_duration_seconds: float | None = AZURE_RUN_SECONDS
        self.resources = Resources()
        self.max_attempts = 3
        self.retry_failures = False  #: an attempt that failed is followed by another, too
        self.display_name = ""
        if conda_dependencies is not None:
            self.environment = Environment("conda")
            self.environment.python.conda_dependencies = conda_dependencies


class ScriptRunConfig:
    """A script, its folder, and how to run it.

    Example:
        >>> config = ScriptRunConfig(source_directory=".", script="train.py", arguments=["--penalty", 1.0])
        >>> config.run_config.environment = env
        >>> config.run_config.target = "default"
    """

    def __init__(
        self,
        source_directory: str | os.PathLike[str] | None = None,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        run_config: RunConfiguration | None = None,
        compute_target: Any = None,
        environment: Environment | str | None = None,
        distributed_job_config: Any = None,
        resume_from: str | os.PathLike[str] | None = None,
        max_run_duration_seconds: float | None = AZURE_RUN_SECONDS,
        command: str | Sequence[str] | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
        inputs: Mapping[str, str] | None = None,
        secrets: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            source_directory: becomes the run's working folder; the current folder if None.
            script: path of the script inside it. Excludes `command`.
            arguments: handed to the script as text, so 1.0 arrives as "1.0".
            compute_target: a pool's name, or an object with a `name`; "local" and None mean pool `default`.
            resume_from: handed to the script as `--resume-from <path>`.
            command: a shell command, as text or as a list of words, instead of a script.
            inputs: name → data, as `{"flowers": "iris-csv:2"}`. The script finds the path in
                FITQ_INPUT_FLOWERS, or in an argument that says `${{inputs.flowers}}`.
            secrets: names of secrets that the pool's workers have; the script finds each as a variable.

        Raises:
            InvalidRequest: `script` and `command` together, or something that is not there yet.
        """
        if distributed_job_config is not None:
            raise absent(
                "distributed_job_config", "A run is one process group on one worker; submit more runs."
            )
        self.source_directory = Path(source_directory) if source_directory is not None else Path()
        self.run_config = run_config or RunConfiguration()
        self.script = script if script is not None else self.run_config.script
        self.command = command if command is not None else self.run_config.command
        self.arguments: list[Any] = list(arguments if arguments is not None else self.run_config.arguments)
        self.resume_from = resume_from
        self.inputs = dict(inputs or {})
        if self.script is not None and self.command is not None:
            raise InvalidRequest("script and command exclude each other.", hint="Give one of the two.")
        if compute_target is not None:
            self.run_config.target = compute_target
        if environment is not None:
            self.run_config.environment = environment
        if docker_runtime_config is not None:
            self.run_config.docker = docker_runtime_config
        if secrets is not None:
            self.run_config.secrets = list(secrets)
        if max_run_duration_seconds != AZURE_RUN_SECONDS:
            self.run_config.max_run_duration_seconds = max_run_duration_seconds

    def to_request(
        self, experiment: str, snapshot: str, *, tags: Mapping[str, Any] = {}, git: Mapping[str, str] = {}
    ) -> RunRequest:
        """The body that submits this.

        Raises:
            InvalidRequest: an argument that is not text or a number, a target that is not a pool, …
        """
        how = self.run_config
        if how.node_count != 1 or how.communicator not in ("None", "none", None):
            raise absent("A run on several nodes", "Leave node_count at 1 and communicator unset.")
        return RunRequest(
            experiment=experiment,
            snapshot=snapshot,
            script=_posix(self.script),
            command=_command(self.command),
            arguments=self._all_arguments(),
            inputs=_texts(self.inputs),
            environment=environment_request(how.environment),
            pool=pool_of(how.target),
            resources=how.resources,
            timeout_seconds=how.max_run_duration_seconds,
            max_attempts=how.max_attempts,
            retry_failures=how.retry_failures,
            environment_variables=_texts({**_variables_of(how.environment), **how.environment_variables}),
            secrets=list(how.secrets),
            tags=_texts(tags),
            display_name=how.display_name,
            git=dict(git),
        )

    def in_environment(self, environment: Environment | None) -> ScriptRunConfig:
        """The same in another environment; this one stays as it is."""
        other, other.run_config = copy.copy(self), copy.copy(self.run_config)
        other.run_config.environment = environment
        return other

    def _all_arguments(self) -> list[str | int | float]:
        words: list[str | int | float] = [_argument(n, a) for n, a in enumerate(self.arguments)]
        if self.resume_from is not None:
            words += ["--resume-from", os.fspath(self.resume_from)]
        return words


@dataclass(frozen=True, kw_only=True)
class FunctionCall:
    """A call of a training function that workers know.

    Example:
        >>> Experiment(ws, "flowers").submit(FunctionCall(function="iris", parameters={"penalty": 1.0}))
    """

    function: Any  #: its name, or the decorated function itself
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)  #: name → data, as for a script
    pool: str | None = None  #: None: the pool of the function
    environment: Environment | str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()  #: names, besides those that the function itself names
    resources: Resources = Resources()  # noqa: RUF009 – frozen
    timeout_seconds: float | None = None
    max_attempts: int = 3
    retry_failures: bool = False  #: an attempt that failed is followed by another, too
    tags: Mapping[str, Any] = field(default_factory=dict)
    display_name: str = ""

    def to_request(self, experiment: str, *, tags: Mapping[str, Any] = {}) -> RunRequest:
        """The body that submits this."""
        return RunRequest(
            experiment=experiment,
            function=_function_name(self.function),
            parameters={name: _scalar(name, value) for name, value in self.parameters.items()},
            inputs=_texts(self.inputs),
            pool=pool_of(self.pool),
            environment=environment_request(self.environment),
            environment_variables=_texts(self.environment_variables),
            secrets=list(self.secrets),
            resources=self.resources,
            timeout_seconds=self.timeout_seconds,
            max_attempts=self.max_attempts,
            retry_failures=self.retry_failures,
            tags=_texts({**self.tags, **tags}),
            display_name=self.display_name,
        )


def pool_of(target: Any) -> str | None:
    """The pool that a compute target means: a name, an object with a `name`, or None for the usual one."""
    name = target if isinstance(target, str | None) else getattr(target, "name", None)
    if name is None and target is not None:
        raise InvalidRequest(
            f"A {type(target).__name__} is not a compute target.", hint="Give the name of a pool."
        )
    return None if name in (None, "local") else check_name("pool", name)


def _function_name(target: Any) -> str:
    if isinstance(target, str):
        return target
    record = described(target)
    if record is None:
        raise InvalidRequest(
            f"{target!r} is not a training function.",
            hint="Decorate it with @fitq.function, or give its name.",
        )
    return record.name


def _scalar(name: str, value: Any) -> JsonScalar:
    plain = plain_value(value)
    if isinstance(plain, list | dict):
        raise InvalidRequest(f"Parameter {name!r} is a {type(value).__name__}.", hint="Use a number or text.")
    return plain if plain is None or isinstance(plain, str | int | float | bool) else str(plain)


def _argument(position: int, value: Any) -> str:
    plain = os.fspath(value) if isinstance(value, os.PathLike) else plain_value(value)
    if not isinstance(plain, str | int | float):
        raise InvalidRequest(
            f"Argument {position} is a {type(value).__name__}; a script takes text and numbers.",
            hint='Write arguments=["--kernel", "linear", "--penalty", 1.0].',
        )
    return str(plain)


def _command(command: str | Sequence[str] | None) -> str | None:
    if command is None or isinstance(command, str):
        return command
    words = list(command)
    # A list of one is a whole command line, as Azure has it.
    return words[0] if len(words) == 1 else shlex.join(str(w) for w in words)


def _posix(script: str | None) -> str | None:
    return None if script is None else Path(script).as_posix()


def _variables_of(environment: Environment | str | None) -> Mapping[str, str]:
    return environment.environment_variables if isinstance(environment, Environment) else {}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): "" if v is None else str(v) for k, v in values.items()}
