"""How every handler reads and answers, and the one body every error has."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

from fitq.backend import Backend
from fitq.errors import (
    CompressedBody,
    Conflict,
    FitqError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from fitq.logs import get_logger
from fitq.records import from_json, to_json
from fitq.revisions import ABSENT
from fitq.serving import Serving
from fitq.settings import Settings
from fitq.twice import refuse_twice

log = get_logger(__name__)
T = TypeVar("T", bound=msgspec.Struct)
_BY_STATUS: dict[int, type[FitqError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedMediaType,
    503: Unavailable,
}


def backend_of(request: Request) -> Backend:
    """The stores that this program was given."""
    found: Backend = request.app.state.backend
    return found


def settings_of(request: Request) -> Settings:
    """The settings that this program was given."""
    found: Settings = request.app.state.settings
    return found


def json_response(value: object, status: int = 200, **headers: str) -> Response:
    """Records, or dicts and lists of them, as JSON."""
    return Response(to_json(value), status, headers, media_type="application/json")


def serving_of(request: Request) -> Serving:
    """The scoring program, to be asked how its models are."""
    settings = settings_of(request)
    return Serving(settings.scoring_inside_url or settings.scoring_url, settings.token)


def request_id_of(request: Request) -> str:
    """The caller's `x-request-id`, or one we make; the same for the whole request."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        usable = re.fullmatch(r"[\x20-\x7e]{1,100}", given)
        request.state.request_id = given if usable else uuid.uuid4().hex
    return str(request.state.request_id)


def expected_revision(request: Request) -> str | None:
    """The revision that `If-Match` names; ABSENT for `If-None-Match: *`; None: any may be written over."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return ABSENT
    named = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    return named if named and named != "*" else None


def with_revision(response: Response, revision: str) -> Response:
    """An answer about something that changes, with the `ETag` under which it may be replaced."""
    if revision:
        response.headers["etag"] = f'"{revision}"'
    return response


def error_response(request: Request, exc: FitqError) -> Response:
    """The one error body."""
    headers = {"x-request-id": request_id_of(request)}
    if exc.status == 503:
        headers["retry-after"] = "2"
    if isinstance(exc, CompressedBody):
        headers["accept-encoding"] = "identity"
    if exc.status == 401:
        headers["www-authenticate"] = "Bearer"
    return json_response(exc.to_body(request_id_of(request)), exc.status, **headers)


async def on_error(request: Request, exc: Exception) -> Response:
    """Any exception of a handler as an answer."""
    if isinstance(exc, HTTPException):
        kind = _BY_STATUS.get(exc.status_code, InvalidRequest)
        message = f"There is no {request.method} {request.url.path}." if exc.status_code == 404 else None
        exc = kind(message, hint="The routes are listed at /docs." if exc.status_code == 404 else None)
    if isinstance(exc, ClientDisconnect):
        exc = InvalidRequest("The body ended early.")
    if not isinstance(exc, FitqError):
        log.error("request_crashed", request_id=request_id_of(request), path=request.url.path, exc_info=exc)
        exc = InternalError()
    return error_response(request, exc)


def bounded(request: Request, limit: int) -> Request:
    """The same request, of whose body at most `limit` bytes can be read, in whatever way.

    Raises:
        TooLarge: the header announces more; the same is raised where more than announced is read.
        CompressedBody: it says to be compressed.
    """
    coding = request.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise CompressedBody.of(coding)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > limit:
        raise TooLarge(f"The body has {announced[:18]} bytes; at most {limit} are read here.", expected=limit)
    left = limit

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLarge(f"The body is over {limit} bytes.", expected=limit)
        return message

    return Request(request.scope, receive)


def with_body(kind: type[T]) -> Callable[[Callable[[Request, T], Response]], Callable[..., Any]]:
    """Make a handler that takes a decoded JSON body and runs in a thread."""

    def decorate(handler: Callable[[Request, T], Response]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def endpoint(request: Request) -> Response:
            body = await body_of(request, kind)
            return await run_in_threadpool(handler, request, body)

        endpoint.body = kind  # type: ignore[attr-defined]  # what /openapi.json shows
        return endpoint

    return decorate


async def body_of(request: Request, kind: type[T]) -> T:
    """The decoded JSON body.

    Raises:
        InvalidRequest: it is wrong, or a field is there twice; `at` is where.
        UnsupportedMediaType, TooLarge: as `json_body`.
    """
    body = await json_body(request)
    return await run_in_threadpool(decoded, body, kind)


def decoded(body: bytes, kind: type[T]) -> T:
    """What a client sent as JSON.

    Raises:
        InvalidRequest: it is wrong, or a field is there twice; `at` is where.
    """
    value = from_json(body, kind)
    try:
        refuse_twice(body)
    except RecursionError as exc:
        raise InvalidRequest("The JSON body is nested too deeply.", at="$") from exc
    return value


async def json_body(request: Request) -> bytes:
    """The raw JSON body.

    Raises:
        UnsupportedMediaType: it says to be something else.
        TooLarge: it is over `FITQ_BODY_BYTES`.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(got=kind)
    body = await bounded(request, settings_of(request).body_bytes).body()
    if not body:
        raise InvalidRequest("POST body is empty. Expecting a JSON dictionary.", at="$")
    return body


def whole_number(text: str) -> int | None:
    """A number of decimal digits that a store can take; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def int_query(request: Request, name: str, default: int, *, least: int = 0, most: int = 1 << 62) -> int:
    """A whole number from the query.

    Raises:
        InvalidRequest: it is not one, or out of range.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    number = whole_number(text)
    if number is None or not least <= number <= most:
        raise InvalidRequest(
            f"{name} must be a whole number from {least} to {most}.",
            at=name,
            got=text[:40],
            expected=f"{least} to {most}",
        )
    return number


def bool_query(request: Request, name: str) -> bool:
    """`true` or `1` in the query."""
    return request.query_params.get(name, "").lower() in ("true", "1", "yes")
