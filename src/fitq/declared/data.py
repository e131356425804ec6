"""`kind: Data`: a file or folder under a name. Files say its path; the server hears its digest.
Saying another makes the next version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fitq import data, data_settings
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import DataSettings


class DataKind(Kind[DataSettings]):
    """A file or folder that runs take as input: its name's newest version."""

    name, noun, order = "Data", "data", 15
    spec = DataSettings
    written: ClassVar[Mapping[str, tuple[str, str]]] = {
        "path": ("digest", "File or folder with the data, seen from this file.")
    }

    def names(self, backend: Backend) -> list[str]:
        return data.names(backend)

    def read(self, backend: Backend, name: str) -> Current[DataSettings] | None:
        settings, revision = data_settings.kept_settings(backend, name)
        return None if settings is None else Current(settings, revision)

    def settle(self, backend: Backend, name: str, spec: DataSettings, planned: Planned) -> DataSettings:
        del backend, planned  # a plan is made before its files are uploaded
        data_settings.check_settings(name, spec)
        return spec

    def check_sent(self, backend: Backend, name: str, spec: DataSettings) -> None:
        data_settings.find_content(backend, name, spec.digest)

    def write(self, backend: Backend, name: str, spec: DataSettings, expected: str) -> None:
        data_settings.configure(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        """Out of all lists: runs name its versions."""
        data_settings.withdraw(backend, name, expected=expected)
