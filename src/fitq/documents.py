"""Declared state as it travels: documents, the plan the server makes of them, and what was wrong with them.

A document says what should be: a `kind`, a `name`, and the fields of that kind. What kinds there are and
what they mean is the server's business (`fitq.declared`).
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from fitq.records import Json, Record


class Action(enum.StrEnum):
    """What applying a document does."""

    CREATE = "create"
    REPLACE = "replace"
    REMOVE = "remove"  #: it has the label and no document; only asked for by `prune`
    KEEP = "keep"  #: it is as the document says


class DeclaredRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/plan` and `POST /v1/apply`."""

    documents: list[dict[str, Any]]  #: each with `kind`, `name` and the fields of its kind
    label: str | None = None  #: the set these documents belong to; None leaves labels as they are
    prune: bool = False  #: also remove what has the label and is not among the documents
    revisions: dict[str, str] | None = None  #: kind/name → revision the plan was made from; None: any


class FieldChange(Record, frozen=True, kw_only=True):
    """One field, before and after."""

    path: str  #: dotted: traffic.3
    before: Json = None  #: null: it is not there
    after: Json = None
    is_drift: bool = False  #: it was applied otherwise and somebody changed it since


class Change(Record, frozen=True, kw_only=True):
    """What becomes of one thing."""

    kind: str
    name: str
    action: Action
    fields: list[FieldChange] = msgspec.field(default_factory=list)
    revision: str = ""  #: what stands there now; empty: nothing
    label: str = ""  #: the set it belongs to afterwards

    @property
    def key(self) -> str:
        """`Pool/cpu`."""
        return f"{self.kind}/{self.name}"


class Plan(Record, frozen=True, kw_only=True):
    """Changes in the order in which they are made."""

    changes: list[Change]

    @property
    def is_empty(self) -> bool:
        """Whether everything is as declared."""
        return all(change.action is Action.KEEP for change in self.changes)


class Problem(Record, frozen=True, kw_only=True):
    """Something wrong with one document."""

    document: int  #: its position, from 0
    at: str  #: dotted path in it; empty: the document itself
    message: str
    hint: str = ""
