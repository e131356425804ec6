"""Experiments: where runs are submitted and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitq import snapshots
from fitq.errors import InvalidRequest
from fitq.names import check_name, did_you_mean
from fitq.records import RunRequest
from fitq.sdk.absent import absent
from fitq.sdk.config import FunctionCall, ScriptRunConfig
from fitq.sdk.environment import Environment
from fitq.sdk.git import git_facts
from fitq.sdk.run import Run

if TYPE_CHECKING:
    from fitq.sdk.client import Client
    from fitq.sdk.workspace import Workspace


class Experiment:
    """A name under which runs are compared.

    Example:
        >>> run = Experiment(ws, "train-sklearn").submit(config)
        >>> run = Experiment(ws, "flowers").call("iris", penalty=0.5)
    """

    def __init__(self, workspace: Workspace, name: str, **_: object) -> None:
        """It exists from its first run on.

        Raises:
            InvalidRequest: the name is not one.
        """
        self.workspace = workspace
        self.name = check_name("experiment", name)

    @staticmethod
    def list(workspace: Workspace, experiment_name: str | None = None, **_: object) -> list[Experiment]:
        """Every experiment that has runs."""
        names = [e.name for e in workspace.client.experiments()]
        return [Experiment(workspace, n) for n in names if experiment_name in (None, n)]

    def submit(
        self,
        config: ScriptRunConfig | FunctionCall,
        tags: Mapping[str, Any] | None = None,
        **_: object,
    ) -> Run:
        """Queue a script with its folder, or a call of a training function.

        Raises:
            InvalidRequest: the script is not in its folder, or is ignored; a parameter is wrong.
            NotFound: no worker knows the function.
            TooLarge: the folder is larger than a snapshot may be.
        """
        if isinstance(config, FunctionCall):
            return self._queue(config.to_request(self.name, tags=tags or {}))
        if isinstance(config, ScriptRunConfig):
            return self._queue(request_for(self.workspace.client, config, self.name, tags or {}))
        raise InvalidRequest(
            f"A {type(config).__name__} cannot be submitted.",
            hint="Give a ScriptRunConfig or a FunctionCall.",
        )

    def call(self, function: Any, /, **parameters: Any) -> Run:
        """Queue a call of a training function, by its name or itself, with these parameters.

        `submit(FunctionCall(...))` says more: pool, tags, resources, limits.
        """
        return self.submit(FunctionCall(function=function, parameters=parameters))

    def _queue(self, request: RunRequest) -> Run:
        record = self.workspace.client.submit_run(request)
        return Run(self, record.id, record=record)

    def get_runs(
        self,
        type: str | None = None,
        tags: Any = None,
        properties: Any = None,
        include_children: bool = False,
        status: str | None = None,
    ) -> Iterator[Run]:
        """Its runs, newest first.

        Args:
            tags: a tag they must have, as its name or as `{name: value}`.
        """
        exact = {k: str(v) for k, v in tags.items() if v is not None} if isinstance(tags, Mapping) else {}
        names = [tags] if isinstance(tags, str) else list(tags or [])
        found = self.workspace.client.iter_runs(experiment=self.name, status=status, tags=exact)
        return (Run(self, r.id, record=r) for r in found if all(n in r.tags for n in names))

    def start_logging(self, *_: object, **__: object) -> Any:
        """Not there yet: a run without a script."""
        raise absent("Experiment.start_logging", "Put the code into a script and submit it.")

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name}, Workspace: {self.workspace.name})"


def request_for(
    client: Client, config: ScriptRunConfig, experiment: str, tags: Mapping[str, Any]
) -> RunRequest:
    """The body that submits a script; its folder is packed and sent first.

    Raises:
        InvalidRequest: there is no such script in the folder, or an ignore file names it.
    """
    if config.script is None and config.command is None:
        raise InvalidRequest("There is nothing to run.", hint='Give script="train.py" or command="…".')
    folder = config.source_directory
    if config.run_config.environment is None and config.script is not None:
        config = config.in_environment(Environment.of_script(folder / config.script))
    config.to_request(experiment, "0" * 64, tags=tags)  # what is wrong is said before anything is sent
    snapshot = snapshots.pack(folder)
    if config.script is not None:
        _check_script(config.script, folder, snapshot.files)
    return config.to_request(
        experiment, client.upload_snapshot(snapshot.data), tags=tags, git=git_facts(folder)
    )


def _check_script(script: str, folder: Path, files: list[str]) -> None:
    path = Path(script).as_posix()
    if path in files:
        return
    if (folder / script).is_file():
        raise InvalidRequest(
            f"{script!r} does not travel with {folder}: an ignore file names it, or it lies outside.",
            hint=f"Look into {', '.join(snapshots.IGNORE_FILES)} of that folder.",
            files=files[:50],
        )
    raise InvalidRequest(
        f"{folder.resolve()} has no file {script!r}. {did_you_mean(path, files)}".strip(),
        hint="`script` is a path inside `source_directory`.",
        files=files[:50],
    )
