"""The HTTP contract as Python: one method per route, records in and out, errors as the server's classes."""

from __future__ import annotations

import os

from fitq.errors import Unavailable
from fitq.sdk.connection import Connection, find_connection
from fitq.sdk.data_routes import DataRoutes
from fitq.sdk.declared_routes import DeclaredRoutes
from fitq.sdk.environment_routes import EnvironmentRoutes
from fitq.sdk.model_routes import ModelRoutes
from fitq.sdk.run_routes import RunRoutes


class Client(RunRoutes, ModelRoutes, EnvironmentRoutes, DataRoutes, DeclaredRoutes):
    """Speaks to one platform.

    Example:
        >>> client = Client.from_config()
        >>> client.score("iris", {"data": [[5.1, 3.5, 1.4, 0.2]]})
        [[0.98, 0.01, 0.01]]

    Every method raises the `fitq.errors` class that the platform answered, and Unavailable if nothing does.
    """

    @classmethod
    def from_config(cls, start: str | os.PathLike[str] | None = None) -> Client:
        """A client of the platform that `FITQ_URL` … or the nearest configuration file names.

        Raises:
            NotFound: neither does; says how to get one.
        """
        return cls.connect(find_connection(start))

    @classmethod
    def connect(cls, connection: Connection) -> Client:
        """A client of this platform."""
        return cls(connection.url, connection.token, connection.scoring_url, connection=connection)

    def health(self) -> bool:
        """Whether the control plane is ready for work."""
        try:
            self.http.send("GET", f"{self.url}/readyz", repeatable=False)
        except Unavailable:
            return False
        return True
