"""Which wire format a JSON body is in: its keys say so."""

from __future__ import annotations

from fitq.errors import InvalidRequest
from fitq.scoring.dialects import azure, kserve, mlflow
from fitq.scoring.dialects.form import Dialect, Input

ALL: tuple[Dialect, ...] = (azure.DIALECT, azure.NAMED, kserve.DIALECT, *mlflow.DIALECTS)


def read(body: object, accepted: tuple[Dialect, ...] = ALL) -> tuple[Dialect, Input]:
    """Which dialect a decoded body speaks, and what it asks.

    Raises:
        InvalidRequest: none, several at once, or one with a field it does not have.
    """
    if not isinstance(body, dict):
        raise _refused("POST body should be a JSON dictionary.", "a JSON object", _kind(body), "$")
    spoken = [d for d in accepted if d.key in body]
    if not spoken:
        key = accepted[0].key
        got = f"the keys {', '.join(map(repr, body)) or 'none'}"
        message = f"A value is not provided for the '{key}' parameter."
        raise _refused(message, " or ".join(repr(d.key) for d in accepted), got, "$")
    if len(spoken) > 1:
        keys = " and ".join(repr(d.key) for d in spoken)
        raise _refused(f"The body has {keys}; send one of them.", "one of them", keys, "$")
    dialect = spoken[0]
    fields = (dialect.key, *dialect.fields)
    for name in body:
        if name not in fields:
            message = f"The body has the unknown field {name!r}."
            raise _refused(message, " or ".join(map(repr, fields)), repr(name), f"$.{name}")
    return dialect, dialect.read(body)


def _refused(message: str, expected: str, got: str, at: str) -> InvalidRequest:
    return InvalidRequest(message, expected=expected, got=got[:200], at=at)


def _kind(body: object) -> str:
    return {list: "a list", str: "a string", type(None): "null"}.get(type(body), "a number or boolean")
