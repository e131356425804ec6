"""Which wire format a JSON body is in: its keys say so."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitq.errors import InvalidRequest
from fitq.scoring.dialects.form import Dialect, Input


def read(body: object, accepted: tuple[Dialect, ...]) -> tuple[Dialect, Input]:
    """Which dialect a decoded body speaks, and what it asks.

    Raises:
        InvalidRequest: none, several at once, or one with a field it does not have.
    """
    if isinstance(body, list | np.ndarray) and not all(d.key for d in accepted):
        body = {"": body}
    if not isinstance(body, dict):
        raise _refused("POST body should be a JSON dictionary.", "a JSON object", _kind(body), "$")
    spoken = {d.key: _claiming(accepted, d.key, body) for d in accepted if d.key in body}
    if not spoken:
        key = accepted[0].key
        got = f"the keys {', '.join(map(repr, body)) or 'none'}"
        message = f"A value is not provided for the '{key}' parameter."
        raise _refused(message, " or ".join(_keys(accepted)), got, "$")
    if len(spoken) > 1:
        keys = " and ".join(map(repr, spoken))
        raise _refused(f"The body has {keys}; send one of them.", "one of them", keys, "$")
    dialect = next(iter(spoken.values()))
    fields = (dialect.key, *dialect.fields)
    for name in body:
        if name not in fields:
            message = f"The body has the unknown field {name!r}."
            raise _refused(message, " or ".join(map(repr, fields)), repr(name), f"$.{name}")
    return dialect, dialect.read(body)


def _claiming(accepted: tuple[Dialect, ...], key: str, body: dict[str, Any]) -> Dialect:
    """Of the dialects that are told by a field, the one whose form its value has."""
    same = [d for d in accepted if d.key == key]
    return next((d for d in same if d.claims(body[key])), same[0])


def _keys(accepted: tuple[Dialect, ...]) -> list[str]:
    return list(dict.fromkeys(repr(d.key) for d in accepted if d.key))


def _refused(message: str, expected: str, got: str, at: str) -> InvalidRequest:
    return InvalidRequest(message, expected=expected, got=got[:200], at=at)


def _kind(body: object) -> str:
    return {list: "a list", str: "a string", type(None): "null"}.get(type(body), "a number or boolean")
