"""What was applied last, per thing: whose it is, and which fields were said. It tells drift from intent,
and which things a label may prune. What is true stands elsewhere, with the thing itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fitq.backend import Backend
from fitq.records import Record, from_kept_json, to_json


class Applied(Record, frozen=True, kw_only=True):
    """The last apply of one thing."""

    kind: str
    name: str
    fields: dict[str, Any]  #: that the document said, settled
    applied_at: datetime
    label: str = ""


def last_applied(backend: Backend, kind: str, name: str) -> Applied | None:
    """None: it never was."""
    data = backend.objects.get(backend.keys.applied_thing(kind, name))
    return None if data is None else from_kept_json(data, Applied)


def all_applied(backend: Backend) -> list[Applied]:
    """Everything that ever was and was not removed by a prune."""
    found = (backend.objects.get(o.key) for o in backend.objects.list(backend.keys.applied()))
    return [from_kept_json(data, Applied) for data in found if data is not None]


def keep(backend: Backend, applied: Applied) -> None:
    """Remember an apply."""
    backend.objects.put(backend.keys.applied_thing(applied.kind, applied.name), to_json(applied))


def forget(backend: Backend, kind: str, name: str) -> None:
    """The thing is gone."""
    backend.objects.delete(backend.keys.applied_thing(kind, name))
