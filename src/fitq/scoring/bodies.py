"""Bodies of requests: which media type, which wire format, and rows that have passed every check.

Bodies are read in the quickest way that can tell that they are right. What none of them takes is read once
more, slowly, to say what is wrong with it.
"""

from __future__ import annotations

import codecs
import contextlib
from typing import Any

import msgspec
import numpy as np

from fitq.errors import FitqError, InvalidRequest, UnsupportedMediaType
from fitq.schema import ArraySchema, Rows
from fitq.scoring import large
from fitq.scoring.call import Call
from fitq.scoring.dialects import choose
from fitq.scoring.dialects.form import JSON, Accepted, Asked, Dialect, Input, Table
from fitq.scoring.served import ServedModel
from fitq.twice import refuse_twice


def read(call: Call, body: bytes, accepted: Accepted) -> tuple[Dialect, Asked]:
    """What a request asks, and the dialect in which it is answered.

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


def _read(call: Call, body: bytes, accepted: Accepted, served: ServedModel) -> tuple[Dialect, Asked]:
    schema = served.schema
    for framing in accepted.framings:
        if told := call.header(framing.header):
            return _chosen(framing.decode(body, told), accepted, schema)
    if (table := _table(call, accepted)) is not None:
        assert accepted.answers is not None
        given = table.read(body, schema, call.header("content-type"))
        return accepted.answers, Asked(_rows(schema, given))
    if len(body) >= large.LARGE_BYTES:
        found = _read_large(body, schema, accepted)
        if found is not None:
            return found
    own = accepted.dialects[0]
    quick = served.quick_reader(own)
    if quick is not None and (asked := quick(body)) is not None:
        return own, asked
    decoded = _decoded(body)
    refuse_twice(body, decoded)
    return _chosen(decoded, accepted, schema)


def _chosen(decoded: Any, accepted: Accepted, schema: ArraySchema) -> tuple[Dialect, Asked]:
    dialect, given = choose.read(decoded, accepted.dialects)
    return dialect, Asked(_rows(schema, given), given.method, decoded)


def _read_large(body: bytes, schema: ArraySchema, accepted: Accepted) -> tuple[Dialect, Asked] | None:
    """A body that is plainly numbers; what is not, or is wrong, is read and explained as every other."""
    with contextlib.suppress(FitqError, RecursionError):
        decoded = large.decode(body)
        dialect, given = choose.read(decoded, accepted.dialects)
        if isinstance(given.value, np.ndarray):
            rows = schema.pack_array(given.value, given.columns, given.path)
            return (dialect, Asked(rows, given.method, decoded)) if rows else None
    return None


def _rows(schema: ArraySchema, given: Input) -> Rows:
    value = given.value
    if isinstance(value, np.ndarray):
        rows = schema.pack_array(value, given.columns, given.path)
        if rows is not None:
            return rows
        value = value.tolist()
    return schema.check(value, columns=given.columns, path=given.path)


def _table(call: Call, accepted: Accepted) -> Table | None:
    """The table that the content type names; None for JSON.

    Raises:
        UnsupportedMediaType: it is neither.
    """
    given = call.header("content-type")
    if given == JSON:
        return None
    kind = given.partition(";")[0].strip().lower()
    if not kind or kind == JSON or kind.endswith("+json"):
        return None
    if kind in accepted.taken:
        return accepted.taken[kind]
    raise UnsupportedMediaType(
        "Expects Content-Type to be application/json",
        at="header content-type",
        expected=" or ".join([JSON, *accepted.taken]),
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
        if body.startswith(codecs.BOM_UTF8):
            reason, hint = "it begins with a byte order mark", "Save it as UTF-8 without one."
        raise InvalidRequest(
            f"The body is not JSON: {reason}.",
            hint=hint,
            at=path.rstrip("`") or "$",
            expected="a JSON object",
            got=reason,
        ) from exc
