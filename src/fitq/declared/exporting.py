"""What is there, as the documents that would bring it about."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.backend import Backend
from fitq.declared.kept import all_applied
from fitq.declared.kind import Kinds
from fitq.declared.kinds import KINDS

Document = dict[str, Any]


def export(backend: Backend, *, label: str | None = None, kinds: Kinds = KINDS) -> list[Document]:
    """All documents, or those of one label, in the order in which they are applied. Applying them changes
    nothing. Fields at their default are left out."""
    mine = {(a.kind, a.name) for a in all_applied(backend) if a.label == label} if label else None
    found: list[Document] = []
    for kind in kinds.values():
        for name in sorted(kind.names(backend)):
            if mine is not None and (kind.name, name) not in mine:
                continue
            current = kind.read(backend, name)
            if current is not None:
                fields = kind.exported(backend, said(current.spec))
                found.append({"kind": kind.name, "name": name, **fields})
    return found


def said(spec: msgspec.Struct) -> dict[str, Any]:
    """The fields that are not at their default."""
    values: dict[str, Any] = msgspec.to_builtins(spec)
    return {
        f.name: values[f.name] for f in msgspec.structs.fields(spec) if not _is_default(f, values[f.name])
    }


def _is_default(field: msgspec.structs.FieldInfo, value: object) -> bool:
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return bool(field.default is not msgspec.NODEFAULT and value == field.default)
