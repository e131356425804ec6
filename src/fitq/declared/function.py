"""`kind: Function`: a training function as code. Files name its folder; what is sent is the folder's hash.

An environment that is named settles to what the name stands for, so that a change of it is a change of the
function, and is shown as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from fitq import environment_names, publishing
from fitq.backend import Backend
from fitq.declared.environment import EnvironmentDocument, given
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import EnvironmentRecord, FunctionRequest


class FunctionKind(Kind[FunctionRequest]):
    """A training function, published from a folder."""

    name, noun, order = "Function", "function", 30
    spec = FunctionRequest
    written: ClassVar[Mapping[str, tuple[str, str]]] = {
        "folder": ("snapshot", "Folder that holds the function, beside this file.")
    }

    def names(self, backend: Backend) -> list[str]:
        return publishing.published(backend)

    def read(self, backend: Backend, name: str) -> Current[FunctionRequest] | None:
        code, revision = publishing.kept_code(backend, name)
        if code is None:
            return None
        environment = code.current.environment.asked
        spec = FunctionRequest(snapshot=code.snapshot, pool=code.pool, environment=environment)
        return Current(spec, revision)

    def exported(self, backend: Backend, fields: dict[str, Any]) -> dict[str, Any]:
        """An environment by its name, where that stands for the same."""
        environment = fields.get("environment")
        if not isinstance(environment, dict):
            return fields
        name = environment["name"].partition(":")[0]
        is_newest = name in environment_names.names(backend) and (
            environment_names.asked_for(backend, name).asked == environment
        )
        return {**fields, "environment": name} if is_newest else fields

    def settle(self, backend: Backend, name: str, spec: FunctionRequest, planned: Planned) -> FunctionRequest:
        publishing.check_code(name, spec)  # not the folder: a plan is made before it is uploaded
        environment = _environment(backend, name, spec.environment, planned)
        return msgspec.structs.replace(spec, environment=environment.asked)

    def check_sent(self, backend: Backend, name: str, spec: FunctionRequest) -> None:
        del name
        publishing.check_sent(backend, spec)

    def write(self, backend: Backend, name: str, spec: FunctionRequest, expected: str) -> None:
        publishing.publish(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        publishing.withdraw(backend, name, expected=expected)


def _environment(
    backend: Backend, name: str, asked: str | dict[str, Any] | None, planned: Planned
) -> EnvironmentRecord:
    """What is asked for; of a name that the same documents declare, the version that they make."""
    document = planned.get(f"Environment/{asked}") if isinstance(asked, str) else None
    if isinstance(asked, str) and isinstance(document, EnvironmentDocument):
        return environment_names.foreseen(backend, asked, given(document))
    return publishing.environment_of(backend, name, asked)
