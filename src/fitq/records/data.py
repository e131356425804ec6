"""Data: named, versioned files and folders."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fitq.records.base import Record


class DataFile(Record, frozen=True, kw_only=True):
    """One file of a version of data: its bytes are those of its parts, one after another."""

    path: str  #: relative, with forward slashes
    size_bytes: int
    parts: list[str]  #: SHA-256 of each, 64 lower-case hex digits


class DataRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/data`: a file or folder whose parts are there already."""

    name: str
    files: list[DataFile]
    is_folder: bool = False  #: runs get the folder; otherwise its one file
    description: str = ""
    tags: dict[str, str] = {}


class DataRecord(Record, frozen=True, kw_only=True):
    """A version of a named file or folder that runs take as input. Never changes."""

    name: str
    version: int
    created_at: datetime
    files: list[DataFile]
    is_folder: bool
    digest: str  #: SHA-256 of what is in it: the same content is the same version
    description: str = ""
    tags: dict[str, str] = {}

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)
