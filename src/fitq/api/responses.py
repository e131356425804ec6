"""How every handler reads and answers, and the one body every error has."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fitq.backend import Backend
from fitq.errors import (
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
from fitq.settings import Settings

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


def request_id_of(request: Request) -> str:
    """The caller's `x-request-id`, or one we make; the same for the whole request."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if 0 < len(given) <= 100 else uuid.uuid4().hex
    return str(request.state.request_id)


def error_response(request: Request, exc: FitqError) -> Response:
    """The one error body."""
    headers = {"x-request-id": request_id_of(request)}
    if exc.status == 503:
        headers["retry-after"] = "2"
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


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, if it is not over the limit.

    Raises:
        TooLarge: noticed from the header or while reading.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge(f"The body has {announced} bytes; at most {limit} are read here.", expected=limit)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise TooLarge(f"The body is over {limit} bytes.", expected=limit)
    return bytes(body)


def with_body(kind: type[T]) -> Callable[[Callable[[Request, T], Response]], Callable[..., Any]]:
    """Make a handler that takes a decoded JSON body and runs in a thread."""

    def decorate(handler: Callable[[Request, T], Response]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def endpoint(request: Request) -> Response:
            body = from_json(await json_body(request), kind)
            return await run_in_threadpool(handler, request, body)

        endpoint.body = kind  # type: ignore[attr-defined]  # what /openapi.json shows
        return endpoint

    return decorate


async def json_body(request: Request) -> bytes:
    """The raw JSON body.

    Raises:
        UnsupportedMediaType: it says to be something else.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(got=kind)
    body = await read_body(request, settings_of(request).body_bytes)
    if not body:
        raise InvalidRequest("POST body is empty. Expecting a JSON dictionary.", at="$")
    return body


def int_query(request: Request, name: str, default: int, *, least: int = 0, most: int = 1 << 62) -> int:
    """A whole number from the query.

    Raises:
        InvalidRequest: it is not one, or out of range.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not text.isascii() or len(text) > 18 or not least <= int(text) <= most:
        raise InvalidRequest(
            f"{name} must be a whole number of {least} or more.",
            at=name,
            got=text[:40],
            expected=f"≥ {least}",
        )
    return int(text)


def bool_query(request: Request, name: str) -> bool:
    """`true` or `1` in the query."""
    return request.query_params.get(name, "").lower() in ("true", "1", "yes")
