"""Fields that stand in a body twice: decoders of JSON take the last, and nobody learns of the others."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fitq.errors import InvalidRequest


class _Twice(NamedTuple):
    """Stands where an object was that has a field twice."""

    name: str


def refuse_twice(body: bytes, decoded: Any = None) -> None:
    """Refuse a body with a field that is there twice.

    Args:
        body: valid JSON.
        decoded: what a decoder made of it, with one of each; if given, most bodies need no second reading.

    Raises:
        InvalidRequest: the field and where it stands.
        RecursionError: it is nested too deeply.
    """
    if body.count(b":") == _fields(decoded):
        return  # each has a colon of its own, so no colon is left for a second one
    found = _path_to(json.loads(body, object_pairs_hook=_object), "$")
    if found is None:
        return
    path, name = found
    raise InvalidRequest(
        f"The field {name[:100]!r} is there twice, in {path}.",
        hint="Send each field once.",
        at=path,
        expected=f"{name[:100]!r} once",
        got=f"{name[:100]!r} twice",
    )


def _fields(value: Any) -> int:
    """How many fields there are, at most: those in objects deep inside of rows are not counted."""
    if isinstance(value, dict):
        return len(value) + sum(map(_fields, value.values()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sum(len(v) for v in value if isinstance(v, dict))
    return 0


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            return _Twice(name)
        found[name] = value
    return found


def _path_to(value: Any, path: str) -> tuple[str, str] | None:
    """Where the first object stands that had a field twice, and which."""
    if isinstance(value, _Twice):
        return path, value.name
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if isinstance(part, dict | list | _Twice):
            found = _path_to(part, f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}")
            if found:
                return found
    return None
