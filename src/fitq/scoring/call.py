"""One HTTP request as handlers see it: its address at once, its body when asked for."""

from __future__ import annotations

import random
import re
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope

from fitq.errors import CompressedBody, InvalidRequest, RequestIdTooLong, TooLarge
from fitq.scoring.service import Service
from fitq.scoring.target import Target

#: How many milliseconds a caller waits: what is not answered by then is not computed.
PATIENCE = "x-fitq-timeout-ms"
PATIENCE_BYTES = PATIENCE.encode()
_MOST_PATIENCE_MS = 3_600_000
_PATIENCE_DIGITS = 10
_REQUEST_ID_CHARACTERS = 100
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
