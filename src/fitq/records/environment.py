"""Environments: the packages that a run asks for, and what it got."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from fitq.records.base import Failure, Record
from fitq.records.status import RunStatus

_OWN = "worker"  #: the name of the worker's own interpreter


class EnvironmentRecord(Record, frozen=True, kw_only=True):
    """The packages a run asked for and what it really got."""

    name: str = _OWN  #: as the user called it
    spec: dict[str, Any] | None = None  #: as it was sent, in one of the forms of `environments/reading.py`
    resolved_to: str = ""  #: "worker", the name of a curated one, or the first 12 digits of `hash`
    hash: str = ""  #: of exact packages, Python and platform; empty: the interpreter of the worker itself
    python: str = ""  #: release of the interpreter that was really used
    substitutions: list[str] = []  #: what was not taken as it was asked for, a sentence each
    warnings: list[str] = []  #: those of them that may matter

    @property
    def asked(self) -> str | dict[str, Any] | None:
        """What gives the same when it is asked for again; None: the worker's own."""
        if self.spec is not None:
            return {"name": self.name, **self.spec}
        return None if self.name == _OWN else self.name

    @property
    def content(self) -> str | dict[str, Any]:
        """What decides its packages: equal in two that differ only in what they are called."""
        return self.name if self.spec is None else self.spec


class EnvironmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/environments`: a name, and one of conda, pip, pyproject, script."""

    name: str
    conda: dict[str, Any] | None = None  #: a conda file, decoded
    pip: list[str] | None = None  #: lines of a requirements file
    pyproject: str | None = None  #: text of a pyproject.toml
    script: str | None = None  #: text of a script with a PEP 723 header
    python: str = ""
    strict: bool = False
    exclude_newer: str = ""
    description: str = ""
    pool: str | None = None  #: whose worker builds it
    build: bool = True  #: False: only registered; built when a run needs it


class EnvironmentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/environments/{name}`."""

    spec: dict[str, Any]  #: in one of the forms of `environments/reading.py`


class EnvironmentBuild(Record, frozen=True, kw_only=True):
    """The last build of a named environment."""

    run: str  #: the run that is the build
    status: RunStatus
    at: datetime
    hash: str = ""  #: of the exact packages, once they are known
    python: str = ""
    packages: dict[str, str] = {}
    warnings: list[str] = []
    failure: Failure | None = None


class NamedEnvironment(Record, frozen=True, kw_only=True):
    """A version of an environment that has a name. Never changes, but for its last build."""

    name: str
    version: int
    created_at: datetime | None = None  #: None: curated
    description: str = ""
    spec: dict[str, Any] | None = None  #: as it was sent; None: curated
    requirements: list[str] = []  #: canonical
    python: str = ""  #: specifier; empty: any
    is_curated: bool = False
    digest: str = ""
    build: EnvironmentBuild | None = None

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"
