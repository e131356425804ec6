"""One HTTP request as handlers see it, and the one way in which they are called.

`Door` is a plain ASGI endpoint: the requests and responses of Starlette cost a tenth of a fast prediction.
It finds the target, calls the handler, turns every error into the one body, and leaves one line in the log.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope, Send

from fitq.errors import (
    CompressedBody,
    FitqError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    RequestIdTooLong,
    TooLarge,
    Unavailable,
)
from fitq.logs import get_logger
from fitq.scoring.answers import Answer, error_answer, send_answer
from fitq.scoring.journal import Answered
from fitq.scoring.service import Service
from fitq.scoring.target import Target, reading

log = get_logger(__name__)
#: How many milliseconds a caller waits: what is not answered by then is not computed.
PATIENCE = "x-fitq-timeout-ms"
PATIENCE_BYTES = PATIENCE.encode()
_MOST_PATIENCE_MS = 3_600_000
_PATIENCE_DIGITS = 10
_REQUEST_ID_CHARACTERS = 100
_KNOWN_DOORS = 10_000
_USABLE_ID = re.compile(rb"[\x20-\x7e]{1,100}")


def _new_id() -> str:
    """In the form of a UUID, which `uuid4` makes five times slower."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Call:
    """A request: its address at once, its body when asked for."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.service: Service = scope["state"]["service"]
        self.verb: str = scope["method"]
        self.address: str = scope["path"]
        self.path: dict[str, str] = scope.get("path_params", {})
        self.target: Target | None = None  #: set as soon as it is known, so that errors can help with it
        self.rows = 0
        self._scope = scope
        self._receive = receive
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self._headers.get(b"x-request-id") or self._headers.get(b"x-ms-request-id", b"")
        self.got_request_id = given.decode("latin-1")
        self.request_id = self.got_request_id if _USABLE_ID.fullmatch(given) else _new_id()

    @property
    def authorization(self) -> bytes:
        """The header of that name as it came."""
        return self._headers.get(b"authorization", b"")

    def header(self, name: str) -> str:
        """A request header, or the empty string."""
        return self._headers.get(name.encode(), b"").decode("latin-1")

    @property
    def is_for_script(self) -> bool:
        """Whether the target is known, and answers by an entry script."""
        return self.target is not None and self.target.served.record.entry is not None

    @property
    def raw_query(self) -> str:
        """The query as it came."""
        text: str = self._scope["query_string"].decode("latin-1")
        return text

    @property
    def is_patient(self) -> bool:
        """Whether the caller sets no limit of its own."""
        return PATIENCE_BYTES not in self._headers

    @property
    def patience_seconds(self) -> float | None:
        """The caller's own limit, from the moment the request arrived; None if it sets none that is one."""
        given = self.header(PATIENCE)
        milliseconds = int(given) if given.isdecimal() and len(given) <= _PATIENCE_DIGITS else 0
        return milliseconds / 1000 if 0 < milliseconds <= _MOST_PATIENCE_MS else None

    def check_patience(self) -> None:
        """A limit of the caller's own is a number of milliseconds."""
        if not self.is_patient and self.patience_seconds is None:
            raise InvalidRequest(
                f"The header {PATIENCE} is not a number of milliseconds.",
                at=f"header {PATIENCE}",
                expected=f"a whole number from 1 to {_MOST_PATIENCE_MS}",
                got=self.header(PATIENCE)[:100],
            )

    def query(self, name: str, default: str = "") -> str:
        """A query parameter."""
        text = self.raw_query
        return parse_qs(text).get(name, [default])[-1] if text else default

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it is over `FITQ_BODY_BYTES`, declared or counted.
            CompressedBody: it says to be compressed.
            InvalidRequest: it ended early.
        """
        if self._headers.get(b"content-encoding", b"identity") != b"identity":
            raise CompressedBody.of(self.header("content-encoding"))
        limit = self.service.settings.body_bytes
        declared = self.header("content-length")
        if declared.isdecimal() and int(declared[:18]) > limit:
            raise _too_large(limit, f"{declared[:18]} bytes")
        arrived_whole = self._scope.get("extensions", {}).get("fitq.arrived_whole")
        if arrived_whole and (whole := arrived_whole(self._receive)) is not None:
            return _within(whole, limit)
        message = await self._receive()
        if not message.get("more_body"):
            return _within(_piece(message), limit)
        pieces, size = [], 0
        while True:
            pieces.append(_piece(message))
            size += len(pieces[-1])
            if size > limit:
                raise _too_large(limit, f"more than {limit} bytes")
            if not message.get("more_body"):
                return b"".join(pieces)
            message = await self._receive()

    def check_request_id(self) -> None:
        """Azure's limit, so that ids fit whoever stores them."""
        if len(self.got_request_id) > _REQUEST_ID_CHARACTERS:
            raise RequestIdTooLong(
                "The request id is longer than 100 characters.",
                hint="Send a shorter x-request-id, or none.",
                at="header x-request-id",
                expected="at most 100 characters",
                got=f"{len(self.got_request_id)} characters",
            )


def _piece(message: Message) -> bytes:
    """A piece of a body. Of one that ended early nothing is computed."""
    if message["type"] == "http.disconnect":
        raise InvalidRequest("The body ended early.")
    piece: bytes = message.get("body", b"")
    return piece


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit, f"{len(body)} bytes")
    return body


def _too_large(limit: int, got: str) -> TooLarge:
    return TooLarge(
        f"The body is larger than {limit} bytes.",
        hint="Send the rows in several requests.",
        at="$",
        expected=f"at most {limit} bytes",
        got=got,
    )


Handler = Callable[[Call], Awaitable[Answer]]
Locator = Callable[[Call], Awaitable[None]]


class Door:
    """An ASGI endpoint around a handler."""

    def __init__(
        self,
        handler: Handler,
        *,
        locate: Locator | None = None,
        verbs: str = "GET HEAD",
        of_scripts: str = "",
    ) -> None:
        """`of_scripts` are verbs that it takes besides for models with an entry script."""
        self._handler = handler
        self._locate = locate
        self._verbs, self._of_scripts = verbs.split(), of_scripts.split()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        call = Call(scope, receive)
        reason = ""
        try:
            answer = await (self._answer(call) if call.is_patient else self._in_time(call))
        except FitqError as exc:
            answer, reason = refusal(call, exc), exc.data.get("reason", exc.code)
        except Exception:
            log.exception("request_failed", request_id=call.request_id, path=scope["path"])
            answer, reason = refusal(call, InternalError()), InternalError.code
        await send_answer(scope, send, call.request_id, answer)
        if self._locate is not None:
            _remember(call, answer.status, began, reason)
            if call.rows and call.address not in call.service.doors:
                self._stay_known(call)

    def _stay_known(self, call: Call) -> None:
        """Spare the router the next request to this address, of which a model has a handful."""
        if len(call.service.doors) >= _KNOWN_DOORS:
            call.service.doors.clear()
        call.service.doors[call.address] = (self, call.path)

    async def _in_time(self, call: Call) -> Answer:
        """The answer, if it is there before the caller's own limit; else whatever still waits is dropped."""
        try:
            return await asyncio.wait_for(self._answer(call), call.patience_seconds)
        except TimeoutError as exc:
            raise Unavailable(
                f"There was no answer within the {call.header(PATIENCE)} ms that the request allows.",
                hint=f"Try again, or allow more in the header {PATIENCE}.",
                reason="deadline_passed",
                retry_after=1,
            ) from exc

    async def _answer(self, call: Call) -> Answer:
        if call.verb == "OPTIONS":
            return Answer(b"", 200, headers=[(b"allow", ", ".join(self._verbs).encode())])
        if self._locate is not None:
            await self._locate(call)
        call.check_request_id()
        call.check_patience()
        if call.verb not in self._verbs and not (call.is_for_script and call.verb in self._of_scripts):
            raise MethodNotAllowed(
                "Method not allowed", at="HTTP method", expected=" or ".join(self._verbs), got=call.verb,
                allow=self._verbs,
            )  # fmt: skip
        return await self._handler(call)


def refusal(call: Call, exc: FitqError) -> Answer:
    """An error as an answer: the one body, with what the target can add for whoever has to mend it."""
    if 400 <= exc.status < 500:
        url = call.service.settings.scoring_url
        known = call.target.help(url) if call.target else {"curl": reading(f"{url}{call.address}")}
        for name, value in known.items():
            exc.data.setdefault(name, value)
    if call.address.startswith("/v2"):
        exc.data["error"] = exc.message  # where clients of the Open Inference Protocol look
    answer = error_answer(exc, call.request_id)
    return answer._replace(headers=[*answer.headers, *call.target.told]) if call.target else answer


def _remember(call: Call, status: int, began: float, reason: str) -> None:
    target = call.target
    name, version = (target.served.record.name, target.served.record.version) if target else ("", 0)
    cold_seconds = target.cold_seconds if target else None
    ended = time.perf_counter()
    call.service.journal.remember(
        Answered(call.request_id, name, version, call.rows, status, began, ended, reason, cold_seconds)
    )
