"""What the control plane answers beyond the records that are kept: pages, summaries, addresses."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from fitq.errors import FitqError
from fitq.records import (
    EndpointRecord,
    ModelRecord,
    Record,
    RunRecord,
    RunStatus,
    from_builtins,
)

RecordT = TypeVar("RecordT", bound=msgspec.Struct)


class RunPage(Record, frozen=True, kw_only=True):
    """Some runs, and where the next page starts."""

    runs: list[RunRecord]
    next_cursor: str | None = None  #: None: there are no more


class ExperimentSummary(Record, frozen=True, kw_only=True):
    """An experiment and how many runs it has."""

    name: str
    runs: int = 0


class RegisteredModel(ModelRecord, frozen=True, kw_only=True):
    """A model version with the address that scores it."""

    scoring_uri: str = ""


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model with its versions and aliases."""

    name: str
    latest_version: int
    versions: list[int] = []
    aliases: dict[str, int] = {}
    description: str = ""  #: of the model as a whole; its versions have their own
    tags: dict[str, str] = {}
    latest: RegisteredModel | None = None
    records: list[RegisteredModel] = []  #: newest first; only when one model was asked for


class DataFacts(Record, frozen=True, kw_only=True):
    """A version of data without the list of its files."""

    id: str
    version: int
    created_at: datetime
    size_bytes: int = 0
    file_count: int = 0
    is_folder: bool = False


class DataSummary(Record, frozen=True, kw_only=True):
    """A name of data with its versions."""

    name: str
    latest_version: int
    versions: list[int]
    latest: DataFacts


class AliasAnswer(Record, frozen=True, kw_only=True):
    """Where an alias points now."""

    name: str
    alias: str
    version: int


class DeployedEndpoint(EndpointRecord, frozen=True, kw_only=True):
    """An endpoint with its addresses and state."""

    scoring_uri: str = ""
    swagger_uri: str = ""
    state: str = "Transitioning"  #: Transitioning, Healthy, Unhealthy or Failed
    problem: str = ""  #: why it is not healthy
    hint: str = ""  #: what to do then


class EndpointKeys(Record, frozen=True, kw_only=True):
    """The two keys of an endpoint; either opens it."""

    primary: str
    secondary: str

    def __repr__(self) -> str:
        return "EndpointKeys(primary=***, secondary=***)"


class LogPiece(Record, frozen=True, kw_only=True):
    """Some bytes of a run's log."""

    data: bytes
    next_offset: int
    complete: bool  #: the run is final and nothing follows


class RunEvent(Record, frozen=True, kw_only=True):
    """Something that happened in a run that is followed."""

    kind: str  #: log, status or end
    text: str = ""  #: of a log event
    status: RunStatus | None = None  #: of a status or end event
    offset: int = 0  #: byte of the log after this event; following again from here loses nothing


def read_answer(value: object, kind: type[RecordT]) -> RecordT:
    """A record from decoded JSON.

    Raises:
        FitqError: it does not have that shape.
    """
    try:
        return from_builtins(value, kind)
    except msgspec.ValidationError as exc:
        raise FitqError(
            f"The platform's answer is not a {kind.__name__}: {exc}.",
            hint="Its version and this client's may differ; compare with: fitq version",
        ) from exc
