"""Data: named, versioned files and folders."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from fitq.records.base import Record


class DataFile(Record, frozen=True, kw_only=True):
    """One file of a version of data: its bytes are those of its parts, one after another."""

    path: str  #: relative, with forward slashes
    size_bytes: int
    parts: list[str]  #: SHA-256 of each, 64 lower-case hex digits


class DataContent(Record, frozen=True, kw_only=True):
    """A file or folder without a name."""

    files: list[DataFile]
    is_folder: bool = False  #: runs get the folder; otherwise its one file

    @property
    def digest(self) -> str:
        """SHA-256 of what is in it, whatever the order of its files: 64 hex digits."""
        content = sorted((f.path, f.size_bytes, tuple(f.parts)) for f in self.files)
        return hashlib.sha256(msgspec.json.encode([self.is_folder, content])).hexdigest()


class DataContentRequest(DataContent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/data-contents`: a file or folder whose parts are there already."""


class DataRequest(DataContentRequest, frozen=True, kw_only=True):
    """Body of `POST /v1/data`: the same with a name."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/data/{name}`: what the newest version is."""

    digest: str  #: of content that is there: another version's, or sent with `POST /v1/data-contents`
    description: str = ""
    tags: dict[str, str] = {}


class DataRecord(Record, frozen=True, kw_only=True):
    """A version of a named file or folder that runs take as input. What is in it never changes."""

    name: str
    version: int
    created_at: datetime
    files: list[DataFile]
    is_folder: bool
    digest: str  #: of its `DataContent`
    description: str = ""
    tags: dict[str, str] = {}

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)
