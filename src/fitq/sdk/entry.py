"""Entry scripts: a user's own code that answers with a model, sent along when the model is registered."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fitq import snapshots
from fitq.errors import InvalidRequest
from fitq.names import did_you_mean
from fitq.records import EntryRequest, RegisterRequest
from fitq.sdk.answers import RegisteredModel
from fitq.sdk.client import Client
from fitq.sdk.environment import Environment, environment_request


@dataclass(frozen=True)
class InferenceConfig:
    """How a model is scored by a script of one's own.

    The script has `init()` and `run(data)`, as Azure calls them, or `model_fn`, `input_fn`, `predict_fn` and
    `output_fn`, as SageMaker does.

    Example:
        >>> config = InferenceConfig(entry_script="score.py", source_directory="scoring", environment=env)
        >>> service = Model.deploy(ws, "iris-service", [model], config)
    """

    entry_script: str  #: its path in `source_directory`
    source_directory: str | os.PathLike[str] | None = None  #: all of it is sent; None: the script alone
    environment: Environment | str | None = None  #: None: that of the model
    conda_file: str | os.PathLike[str] | None = None  #: instead of an environment
    description: str = ""
    runtime: str | None = None  #: accepted and not used: it is Python
    enable_gpu: bool | None = None  #: accepted and not used

    def environment_of(self) -> Environment | str | None:
        """In what the script runs."""
        if self.conda_file is None:
            return self.environment
        if self.environment is not None:
            raise InvalidRequest("Give environment or conda_file, not both.")
        return Environment.from_conda_specification(Path(self.conda_file).stem, self.conda_file)


def entry_request(
    client: Client,
    script: str | os.PathLike[str],
    source_directory: str | os.PathLike[str] | None,
    models: Sequence[str] = (),
) -> EntryRequest:
    """What is said of a script on this machine; its folder, or it alone, is packed and sent first.

    Args:
        models: that it reads besides its own, `name` or `name:version`.

    Raises:
        InvalidRequest: there is no such script, or an ignore file names it.
    """
    if source_directory is None:
        file = Path(script)
        if not file.is_file():
            raise InvalidRequest(
                f"There is no entry script {file}.", hint="Give its folder in source_directory."
            )
        with tempfile.TemporaryDirectory(prefix="fitq-entry-") as folder:
            shutil.copy(file, folder)
            snapshot = snapshots.pack(Path(folder))
        sent = client.upload_snapshot(snapshot.data)
        return EntryRequest(script=file.name, snapshot=sent, models=list(models))
    snapshot, path = snapshots.pack(Path(source_directory)), Path(script).as_posix()
    if path not in snapshot.files:
        raise InvalidRequest(
            f"{source_directory} has no file {path!r} to send. {did_you_mean(path, snapshot.files)}".strip(),
            hint="The script is a path inside source_directory, and no ignore file there may name it.",
            files=snapshot.files[:50],
        )
    sent = client.upload_snapshot(snapshot.data)
    return EntryRequest(script=path, snapshot=sent, models=list(models))


def register_with_script(
    client: Client, name: str, models: Sequence[RegisteredModel], config: InferenceConfig
) -> RegisteredModel:
    """The next version of a model of that name: the files of other models, answered for by a script."""
    model, *others = models
    request = RegisterRequest(
        name=name,
        model=model.id,
        entry=entry_request(
            client, config.entry_script, config.source_directory, [other.id for other in others]
        ),
        environment=environment_request(config.environment_of()),
        description=config.description or model.description,
        tags=dict(model.tags),
    )
    return client.register_model(request)
