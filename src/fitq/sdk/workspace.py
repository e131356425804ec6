"""The workspace: where everything else is reached from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fitq.records import PoolRecord
from fitq.sdk.client import Client
from fitq.sdk.connection import Connection, find_connection
from fitq.sdk.environment import Environment
from fitq.sdk.experiment import Experiment
from fitq.sdk.model import Model
from fitq.sdk.run import Run
from fitq.sdk.service import Endpoint


class Workspace:
    """The place all other things belong to.

    Example:
        >>> ws = Workspace.from_config()
        >>> Experiment(ws, "train-sklearn").submit(config)
    """

    def __init__(
        self,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        *_: object,
        client: Client | None = None,
        **__: object,
    ) -> None:
        """With a `client`, or the platform that the environment or configuration names.

        Azure's subscription and resource group are remembered and mean nothing here.
        """
        self.client = client or Client.from_config()
        connection = self.client.connection
        self.name = workspace_name or connection.workspace
        self.subscription_id = subscription_id or connection.subscription_id
        self.resource_group = resource_group or connection.resource_group
        self.location = self.client.url

    @classmethod
    def from_config(cls, path: str | os.PathLike[str] | None = None, *_: object, **__: object) -> Workspace:
        """The workspace that `FITQ_URL` and `FITQ_TOKEN`, or else a configuration file, name.

        Args:
            path: the file, or the folder to start looking from, upwards; the working folder if None.

        Raises:
            NotFound: neither does; says how to get one.
        """
        return cls.connect(find_connection(path))

    @classmethod
    def get(cls, name: str, *_: object, **__: object) -> Workspace:
        """As `from_config`, under this name."""
        return cls(workspace_name=name)

    @classmethod
    def connect(cls, connection: Connection) -> Workspace:
        """The workspace at this connection."""
        return cls(client=Client.connect(connection))

    def write_config(self, path: str | os.PathLike[str] | None = None, file_name: str | None = None) -> None:
        """Write `.azureml/config.json` below a folder (here if None) so that `from_config` finds it.

        It holds the token, so only its owner may read it.
        """
        target = Path(path or ".") / ".azureml" / (file_name or "config.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
            "fitq_url": self.client.url,
            "fitq_scoring_url": self.client.scoring_url,
            "fitq_token": self.client.connection.token,
        }
        target.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2)

    def get_details(self) -> dict[str, Any]:
        """Name and addresses."""
        return {
            "name": self.name,
            "location": self.location,
            "scoringUrl": self.client.scoring_url,
            "subscriptionId": self.subscription_id,
            "resourceGroup": self.resource_group,
        }

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name."""
        return Experiment(self, name)

    def get_run(self, run_id: str) -> Run:
        """The run of that id."""
        return Run.get(self, run_id)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """Every experiment that has runs, by name."""
        return {e.name: e for e in Experiment.list(self)}

    @property
    def environments(self) -> dict[str, Environment]:
        """Every environment that the platform knows by name."""
        return Environment.list(self)

    @property
    def models(self) -> dict[str, Model]:
        """The newest version of every model, by name."""
        return {m.name: m for m in Model.list(self, latest=True)}

    @property
    def webservices(self) -> dict[str, Endpoint]:
        """Every endpoint, by name."""
        return {e.name: e for e in Endpoint.list(self)}

    @property
    def compute_targets(self) -> dict[str, PoolRecord]:
        """Every pool, by name; each can be a `target`."""
        return {p.name: p for p in self.client.pools()}

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, url={self.client.url!r})"
