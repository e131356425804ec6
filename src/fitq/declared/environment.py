"""`kind: Environment`: packages under a name. Saying others makes the next version; versions are kept."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq import environment_names
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.environments.curated import find_curated
from fitq.environments.reading import read_spec
from fitq.errors import InvalidRequest
from fitq.records import EnvironmentRequest, NamedEnvironment
from fitq.revisions import ABSENT, check_revision


class EnvironmentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of conda, pip, pyproject and script, and what goes with it."""

    conda: dict[str, Any] | None = None  #: what stands in a conda file
    pip: list[str] | None = None  #: lines of a requirements file
    pyproject: str | None = None  #: text of a pyproject.toml
    script: str | None = None  #: text of a script with a PEP 723 header
    python: str = ""
    strict: bool = False
    exclude_newer: str = ""


class EnvironmentKind(Kind[EnvironmentSettings]):
    """The packages of a name's newest version."""

    name, noun, order = "Environment", "environment", 10
    spec = EnvironmentSettings

    def names(self, backend: Backend) -> list[str]:
        return environment_names.names(backend)

    def read(self, backend: Backend, name: str) -> Current[EnvironmentSettings] | None:
        newest = _newest(backend, name)
        if newest is None:
            return None
        return Current(EnvironmentSettings(**(newest.spec or {})), newest.id)

    def merge(self, current: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        del current  # a specification is whole: nothing of another one is mixed in
        return said

    def settle(
        self, backend: Backend, name: str, spec: EnvironmentSettings, planned: Planned
    ) -> EnvironmentSettings:
        del backend, planned
        if find_curated(name) is not None:
            raise InvalidRequest(
                f"{name!r} is there already, curated.", at="name", hint="Choose another name."
            )
        if not (spec.conda or spec.pip or spec.pyproject or spec.script):
            raise InvalidRequest(
                "An environment needs packages.", hint="Write one of conda, pip, pyproject, script."
            )
        read_spec(_given(spec), at="")
        return spec

    def write(self, backend: Backend, name: str, spec: EnvironmentSettings, expected: str) -> None:
        newest = _newest(backend, name)
        check_revision(f"Environment {name!r}", newest.id if newest else ABSENT, expected)
        environment_names.register(backend, EnvironmentRequest(name=name, build=False, **_given(spec)))

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        """Nothing: runs name its versions."""


def _newest(backend: Backend, name: str) -> NamedEnvironment | None:
    return environment_names.find(backend, name) if environment_names.versions(backend, name) else None


def _given(spec: EnvironmentSettings) -> dict[str, Any]:
    return {field: value for field in spec.__struct_fields__ if (value := getattr(spec, field))}
