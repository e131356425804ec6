"""Endpoints: stable addresses of models."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fitq.records.base import Record


class EndpointRecord(Record, frozen=True, kw_only=True):
    """A stable address that scores with chosen versions of a model, behind keys."""

    name: str
    model: str
    traffic: dict[str, int]  #: version → percent, 100 in all
    created_at: datetime
    updated_at: datetime
    auth: str = "key"  #: key, token or none
    method: str | None = None  #: predict-like method used when a request names none
    description: str = ""
    tags: dict[str, str] = {}
    key_generations: dict[str, int] = msgspec.field(default_factory=lambda: {"primary": 1, "secondary": 1})
    workspace: str = "default"


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/endpoints/{name}`."""

    model: str
    traffic: dict[str, int] | None = None  #: None: the newest version gets everything
    auth: str = "key"
    method: str | None = None
    description: str = ""
    tags: dict[str, str] = {}
