"""The routes of environments."""

from __future__ import annotations

from fitq.records import EnvironmentRequest, NamedEnvironment
from fitq.sdk.answers import read_answer
from fitq.sdk.exchange import Exchange, part, said


class EnvironmentRoutes(Exchange):
    """Register, build, list and look up environments."""

    def build_environment(self, request: EnvironmentRequest) -> NamedEnvironment:
        """Register a specification under its name and, unless it says otherwise, have a worker build it."""
        return read_answer(self.post("/v1/environments", said(request)), NamedEnvironment)

    def withdraw_environment(self, name: str) -> None:
        """Take a name out of all lists; what names a version by its number still finds it."""
        self.delete(f"/v1/environments/{part(name)}")

    def list_environments(self) -> list[NamedEnvironment]:
        """Curated ones, then the newest version of every registered one."""
        return [read_answer(e, NamedEnvironment) for e in self.get("/v1/environments")["environments"]]

    def get_environment(self, name: str, version: int | str | None = None) -> NamedEnvironment:
        """An environment by name; its newest version if None."""
        answer = self.get(f"/v1/environments/{part(name)}", version=version)
        return read_answer(answer, NamedEnvironment)
