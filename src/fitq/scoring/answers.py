"""What goes back over HTTP: always valid JSON, one body for every error."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import orjson
from starlette.types import Scope, Send

from fitq.errors import CompressedBody, FitqError, MethodNotAllowed, ModelUnhealthy, ScoringFailed

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """Body, status and headers of a response."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Headers = []  # noqa: RUF012  # never changed


def to_json(value: Any) -> bytes:
    """JSON of arrays, lists and scalars. NaN and infinity become null."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # orjson stops at integers of more than 64 bits and at lone surrogates in labels
        return json.dumps(value, default=str).encode()


def error_answer(exc: FitqError, request_id: str) -> Answer:
    """The one error body, with the headers that belong to its status."""
    headers: Headers = []
    if exc.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if exc.status in (429, 503) and not isinstance(exc, ModelUnhealthy):  # waiting does not mend that one
        headers.append((b"retry-after", str(exc.data.get("retry_after", 2)).encode()))
    if isinstance(exc, CompressedBody):
        headers.append((b"accept-encoding", b"identity"))
    if isinstance(exc, ScoringFailed):
        headers.append((b"x-ms-run-function-failed", b"True"))
    if isinstance(exc, MethodNotAllowed):
        headers.append((b"allow", ", ".join(exc.data.get("allow", [])).encode()))
    return Answer(to_json(exc.to_body(request_id)), exc.status, headers=headers)


async def send_answer(scope: Scope, send: Send, request_id: str, answer: Answer) -> None:
    """Write an answer to the wire, at once where the server offers that."""
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"x-request-id", request_id.encode()),
        *answer.headers,
    ]
    written_whole = scope.get("extensions", {}).get("fitq.answered_whole")
    if written_whole and written_whole(send, answer.status, headers, answer.body):
        return
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
