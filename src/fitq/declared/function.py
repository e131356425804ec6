"""`kind: Function`: a training function as code. Files name its folder; what is sent is the folder's hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fitq import publishing
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import FunctionRequest


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
        return Current(FunctionRequest(snapshot=code.snapshot, pool=code.pool), revision)

    def settle(self, backend: Backend, name: str, spec: FunctionRequest, planned: Planned) -> FunctionRequest:
        del backend, planned  # a plan is made before its folders are uploaded
        publishing.check_code(name, spec)
        return spec

    def check_sent(self, backend: Backend, name: str, spec: FunctionRequest) -> None:
        del name
        publishing.check_sent(backend, spec)

    def write(self, backend: Backend, name: str, spec: FunctionRequest, expected: str) -> None:
        publishing.publish(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        publishing.withdraw(backend, name, expected=expected)
