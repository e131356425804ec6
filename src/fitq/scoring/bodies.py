"""Bodies of requests: which media type, which wire format, and rows that have passed every check.

Bodies are read in the quickest way that can tell that they are right. What none of them takes is read once
more, slowly, to say what is wrong with it.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fitq.errors import FitqError, InvalidRequest, UnsupportedMediaType
from fitq.schema import ArraySchema, Rows
from fitq.scoring import large
from fitq.scoring.call import Call
from fitq.scoring.dialects import azure, choose, csv_rows, npy, oip, oip_binary
from fitq.scoring.dialects.form import Dialect, Input
from fitq.scoring.models import ServedModel
from fitq.twice import refuse_twice

_JSON = "application/json"
_TABLES = (csv_rows.MEDIA_TYPE, npy.MEDIA_TYPE)


class Accepted(NamedTuple):
    """What an address takes."""

    dialects: tuple[Dialect, ...]  #: bodies of JSON
    tables: Dialect | None = None  #: how CSV and array files are answered, where they are taken


class Asked(NamedTuple):
    """A request whose rows have passed every check."""

    rows: Rows
    method: object
    dialect: Dialect
    body: Any = None  #: decoded, for dialects whose answer repeats some of it


def read(call: Call, body: bytes, accepted: Accepted) -> Asked:
    """What a request asks.

    Raises:
        InvalidRequest, InputRejected, UnsupportedMediaType: say where it is wrong.
    """
    assert call.target is not None
    try:
        return _read(call, body, accepted, call.target.served)
    except RecursionError as exc:
        raise InvalidRequest(
            "The body is nested too deeply.", at="$", expected="a list of rows", got="deeper lists"
        ) from exc


def _read(call: Call, body: bytes, accepted: Accepted, served: ServedModel) -> Asked:
    schema = served.schema
    kind = _media_type(call, accepted)
    if kind in _TABLES and accepted.tables:
        content_type = call.header("content-type")
        given = csv_rows.read(body, schema, content_type) if kind == csv_rows.MEDIA_TYPE else npy.read(body)
        return Asked(_rows(schema, given), None, accepted.tables)
    if kind == oip_binary.MEDIA_TYPE:
        decoded = oip_binary.read(body, call.header(oip_binary.JSON_BYTES))
        dialect, given = choose.read(decoded, accepted.dialects)
        return Asked(_rows(schema, given), given.method, dialect, decoded)
    if len(body) >= large.LARGE_BYTES:
        asked = _read_large(body, schema, accepted.dialects)
        if asked is not None:
            return asked
    if azure.DIALECT in accepted.dialects:
        asked = _read_usual(body, served)
        if asked is not None:
            return asked
    elif oip.DIALECT in accepted.dialects and (usual := oip.read_usual(body, schema)):
        return Asked(usual[0], None, oip.DIALECT, usual[1])
    decoded = _decoded(body)
    refuse_twice(body, decoded)
    dialect, given = choose.read(decoded, accepted.dialects)
    return Asked(_rows(schema, given), given.method, dialect, decoded)


def _read_usual(body: bytes, served: ServedModel) -> Asked | None:
    """Azure's body, decoded straight to rows; None if it is another, or wrong."""
    try:
        usual = served.fast_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if body.count(b":") != 1 + (usual.method is not None):
        return None  # a field may stand in it twice
    rows = served.schema.pack(usual.data)
    return Asked(rows, usual.method, azure.DIALECT) if rows.exact else None


def _read_large(body: bytes, schema: ArraySchema, accepted: tuple[Dialect, ...]) -> Asked | None:
    """A body that is plainly numbers; what is not, or is wrong, is read and explained as every other."""
    with contextlib.suppress(FitqError, RecursionError):
        decoded = large.decode(body)
        dialect, given = choose.read(decoded, accepted)
        if isinstance(given.value, np.ndarray):
            rows = schema.pack_array(given.value, given.columns, given.path)
            return Asked(rows, given.method, dialect, decoded) if rows else None
    return None


def _rows(schema: ArraySchema, given: Input) -> Rows:
    value = given.value
    if isinstance(value, np.ndarray):
        rows = schema.pack_array(value, given.columns, given.path)
        if rows is not None:
            return rows
        value = value.tolist()
    return schema.check(value, columns=given.columns, path=given.path)


def _media_type(call: Call, accepted: Accepted) -> str:
    given = call.header("content-type")
    if oip.DIALECT in accepted.dialects and call.header(oip_binary.JSON_BYTES):
        return oip_binary.MEDIA_TYPE
    if given == _JSON:
        return given
    kind = given.partition(";")[0].strip().lower()
    if not kind or kind == _JSON or kind.endswith("+json"):
        return _JSON
    if accepted.tables and kind in _TABLES:
        return kind
    raise UnsupportedMediaType(
        "Expects Content-Type to be application/json",
        at="header content-type",
        expected=" or ".join([_JSON, *(_TABLES if accepted.tables else ())]),
        got=given[:100],
    )


def _decoded(body: bytes) -> Any:
    if not body.strip():
        raise InvalidRequest(
            "POST body is empty. Expecting a JSON dictionary.",
            at="$",
            expected="a JSON object",
            got="nothing",
        )
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        reason, _, path = str(exc).partition(" - at `")
        hint = "Check the body with: python -m json.tool"
        if b"NaN" in body or b"Infinity" in body:
            hint = "JSON has no NaN and no Infinity; null is a missing value where the model takes those."
        raise InvalidRequest(
            f"The body is not JSON: {reason}.",
            hint=hint,
            at=path.rstrip("`") or "$",
            expected="a JSON object",
            got=reason,
        ) from exc
