"""The one generic scoring function: body → rows → predictions → body, for every model and wire format."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fitq.errors import (
    FitqError,
    InvalidRequest,
    ModelUnhealthy,
    ModelUnusable,
    TooLarge,
    UnsupportedMediaType,
)
from fitq.schema import ArraySchema, Rows
from fitq.scorer.client import Outcome
from fitq.scoring import large
from fitq.scoring.answers import Answer, to_json
from fitq.scoring.call import Call, Handler
from fitq.scoring.dialects import azure, choose, csv_rows, kserve, mlflow, npy, oip
from fitq.scoring.dialects.form import Dialect, Input, Reply, bare
from fitq.scoring.models import unusable_here
from fitq.scoring.target import Target


class Asked(NamedTuple):
    """A request whose rows have passed every check."""

    rows: Rows
    method: object
    dialect: Dialect
    body: Any = None  #: decoded, for dialects whose answer repeats some of it


def scoring(*accepted: Dialect) -> Handler:
    """A handler that takes these wire formats."""

    async def handler(call: Call) -> Answer:
        assert call.target is not None
        served = call.target.served
        served.check()
        asked = _read(call, await call.body(), accepted)
        method = _method(asked.method, call.target)
        call.rows = asked.rows.size
        if call.rows > call.service.settings.score_rows:
            raise _too_many(call.rows, call.service.settings.score_rows)
        outcome = await _predicted(call, method, asked.rows)
        reply = Reply(served.record, method, asked.body)
        kind, body, own = _written(call.header("accept"), asked.dialect, outcome, reply)
        return Answer(body, content_type=kind, headers=[*_headers(call.target, outcome), *own])

    return handler


score = scoring(*choose.ALL)
predict_v1 = scoring(kserve.DIALECT)
invocations = scoring(*mlflow.INVOCATIONS)
infer = scoring(oip.DIALECT)
#: besides JSON, on addresses that take every format
_TABLES = (csv_rows.MEDIA_TYPE, npy.MEDIA_TYPE)


def _read(call: Call, body: bytes, accepted: tuple[Dialect, ...]) -> Asked:
    assert call.target is not None
    served = call.target.served
    schema = served.schema
    takes_tables = azure.DIALECT in accepted
    kind = _media_type(call, takes_tables)
    if kind in _TABLES:
        given = csv_rows.read(body, schema) if kind == csv_rows.MEDIA_TYPE else npy.read(body)
        return Asked(_rows(schema, given), call.query("method") or None, azure.DIALECT)
    if kind == oip.MEDIA_TYPE:
        decoded = oip.with_binary(body, call.header(oip.JSON_BYTES))
        dialect, given = choose.read(decoded, accepted)
        return Asked(_rows(schema, given), given.method, dialect, decoded)
    if len(body) >= large.LARGE_BYTES:
        asked = _read_large(body, schema, accepted)
        if asked is not None:
            return asked
    if takes_tables:
        try:
            usual = served.fast_decoder.decode(body)
            rows = schema.pack(usual.data)
            if rows.exact:
                return Asked(rows, usual.method, azure.DIALECT)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # another dialect, or wrong: below it is told apart and explained
    decoded = _decoded(body)
    dialect, given = choose.read(decoded, accepted)
    return Asked(_rows(schema, given), given.method, dialect, decoded)


def _read_large(body: bytes, schema: ArraySchema, accepted: tuple[Dialect, ...]) -> Asked | None:
    """A body that is plainly numbers; what is not, or is wrong, is read and explained as every other."""
    with contextlib.suppress(FitqError):
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


def _media_type(call: Call, takes_tables: bool) -> str:
    given = call.header("content-type")
    if call.header(oip.JSON_BYTES) and not takes_tables:
        return oip.MEDIA_TYPE
    if given == "application/json":
        return given
    kind = given.partition(";")[0].strip().lower()
    if not kind or kind == "application/json" or kind.endswith("+json"):
        return "application/json"
    if takes_tables and kind in _TABLES:
        return kind
    raise UnsupportedMediaType(
        "Expects Content-Type to be application/json",
        at="header content-type",
        expected=" or ".join(["application/json", *(_TABLES if takes_tables else ())]),
        got=given[:100],
    )


def _written(
    accept: str, dialect: Dialect, outcome: Outcome, reply: Reply
) -> tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]:
    """The answer, in which media type, and headers of its own: JSON, unless another form is asked for."""
    if dialect.write is bare and csv_rows.MEDIA_TYPE in accept:
        return csv_rows.MEDIA_TYPE, csv_rows.write(outcome.predictions), ()
    if dialect.write is bare and npy.MEDIA_TYPE in accept:
        return npy.MEDIA_TYPE, npy.write(outcome.predictions), ()
    if dialect is oip.DIALECT and oip.wants_binary(reply.request):
        head, data = oip.write_binary(outcome.predictions, reply)
        return oip.MEDIA_TYPE, head + data, ((oip.JSON_BYTES.encode(), str(len(head)).encode()),)
    return "application/json", to_json(dialect.write(outcome.predictions, reply)), ()


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
    except RecursionError as exc:
        raise InvalidRequest(
            "The body is nested too deeply.", at="$", expected="a list of rows", got="deeper lists"
        ) from exc


def _method(asked: object, target: Target) -> str:
    record = target.served.record
    method = asked if asked is not None else target.default_method
    if method in record.methods:
        return str(method)
    has = ", ".join(record.methods)
    message = f"Model {record.name!r} has no method {str(method)[:100]!r}. It has: {has}."
    raise InvalidRequest(message, at="$.method", expected=f"one of {has}", got=str(method)[:100])


def _too_many(rows: int, limit: int) -> TooLarge:
    message = f"The request has {rows} rows; at most {limit} are scored at once."
    return TooLarge(
        message, hint="Send several requests.", at="$", expected=f"at most {limit} rows", got=str(rows)
    )


async def _predicted(call: Call, method: str, rows: Rows) -> Outcome:
    assert call.target is not None
    served = call.target.served
    try:
        return await served.calls(method).predict(rows)
    except ModelUnusable as exc:  # it had to be loaded again, and that failed
        raise unusable_here(served.record, exc) from exc
    except ModelUnhealthy as exc:  # or it answered otherwise than before
        served.problem = exc
        raise


def _headers(target: Target, outcome: Outcome) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-ms-run-fn-exec-ms", b"%.3f" % (outcome.seconds * 1000)),
        (b"x-fitq-model", target.served.record.id.encode()),
    ]
    if target.cold_seconds is not None:
        headers.append((b"x-cold-start-ms", b"%.1f" % (target.cold_seconds * 1000)))
    if target.served.warning:
        headers.append((b"x-fitq-warning", ascii(target.served.warning)[1:-1].encode()))
    return headers
