"""`kind: Environment`: packages under a name. Saying others makes the next version; versions are kept."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq import environment_names
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.environments.reading import read_spec
from fitq.errors import InvalidRequest
from fitq.records import EnvironmentSettings, NamedEnvironment


class EnvironmentDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of conda, pip, pyproject and script, and what goes with it."""

    conda: dict[str, Any] | None = None  #: what stands in a conda file
    pip: list[str] | None = None  #: lines of a requirements file
    pyproject: str | None = None  #: text of a pyproject.toml
    script: str | None = None  #: text of a script with a PEP 723 header
    python: str = ""
    strict: bool = False
    exclude_newer: str = ""


class EnvironmentKind(Kind[EnvironmentDocument]):
    """The packages of a name's newest version."""

    name, noun, order = "Environment", "environment", 10
    spec = EnvironmentDocument

    def names(self, backend: Backend) -> list[str]:
        return environment_names.names(backend)

    def read(self, backend: Backend, name: str) -> Current[EnvironmentDocument] | None:
        newest = _newest(backend, name)
        if newest is None:
            return None
        return Current(EnvironmentDocument(**(newest.spec or {})), newest.id)

    def merge(self, current: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        del current  # a specification is whole: nothing of another one is mixed in
        return said

    def settle(
        self, backend: Backend, name: str, spec: EnvironmentDocument, planned: Planned
    ) -> EnvironmentDocument:
        del backend, planned
        environment_names.check_free(name)
        if not (spec.conda or spec.pip or spec.pyproject or spec.script):
            raise InvalidRequest(
                "An environment needs packages.", hint="Write one of conda, pip, pyproject, script."
            )
        read_spec(given(spec), at="")
        return spec

    def write(self, backend: Backend, name: str, spec: EnvironmentDocument, expected: str) -> None:
        settings = EnvironmentSettings(spec=given(spec))
        environment_names.configure(backend, name, settings, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        """Out of all lists: runs name its versions."""
        environment_names.withdraw(backend, name, expected=expected)


def _newest(backend: Backend, name: str) -> NamedEnvironment | None:
    return environment_names.find(backend, name) if environment_names.versions(backend, name) else None


def given(spec: EnvironmentDocument) -> dict[str, Any]:
    """The specification as it is sent elsewhere: without what is not said."""
    return {field: value for field in spec.__struct_fields__ if (value := getattr(spec, field))}
