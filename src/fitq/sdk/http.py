"""One HTTP exchange with the platform: token, errors as classes, patience with what passes by itself.

What is repeated: requests that may happen twice, on 502, 503, 504 and on a lost connection; any request
whose connection was refused, because then nothing was sent. `Retry-After` is honoured. How long: a
platform that never answered gets a moment, one that answered before gets the time a restart takes.
"""

from __future__ import annotations

import ipaddress
import random
import sys
import time
import weakref
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from fitq.errors import FitqError, InvalidRequest, Unavailable, from_body
from fitq.records import now

FIRST_CONTACT_SECONDS = 1.5
RESTART_SECONDS = 30.0
QUIET_SECONDS = 1.0  # waiting for longer is said
_REPEATED = {429, 502, 503, 504}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 3.0
# Servers send a sign of life every 15 s on streams; a prediction may take a minute.
_TIMEOUT = httpx2.Timeout(90.0, connect=5.0)


class Http:
    """Sends requests; knows nothing of routes."""

    def __init__(
        self,
        token: str = "",
        *,
        transport: httpx2.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.pause = pause
        self._token = _checked_token(token)
        self._reached = False
        headers = {"User-Agent": "fitq", "Accept": "application/json"}
        self._options: dict[str, Any] = {"timeout": _TIMEOUT, "headers": headers, "transport": transport}
        self._clients: dict[bool, httpx2.Client] = {}  # made when needed; by _is_plain_loopback
        # A client in a notebook is forgotten rather than closed; its sockets should go with it.
        self.close = weakref.finalize(self, _close, self._clients)

    def send(
        self,
        method: str,
        url: str,
        *,
        repeatable: bool,
        build: Callable[[], dict[str, Any]] = dict,
        stream: bool = False,
        token: str | None = None,
    ) -> httpx2.Response:
        """The answer, if it is 2xx. With `stream` its body is not read yet and must be closed.

        Args:
            repeatable: whether the request may reach the server twice.
            build: makes what `httpx2.Client.build_request` takes (params, content, files, headers); called
                once per try, so that a body can be read again.
            token: instead of the client's own.

        Raises:
            FitqError: the class that the error body names; Unavailable without an answer.
        """
        client = self._client_for(url)
        spent, backoff = 0.0, _FIRST_PAUSE_SECONDS
        while True:
            error, after = self._try(client, method, url, repeatable, build(), stream, token)
            if isinstance(error, httpx2.Response):
                return error
            wait = backoff * random.uniform(0.5, 1.0) if after is None else after
            budget = RESTART_SECONDS if self._reached else FIRST_CONTACT_SECONDS
            if wait < 0 or spent + wait > budget:
                raise error
            if spent < QUIET_SECONDS <= spent + wait and budget > FIRST_CONTACT_SECONDS:
                sys.stderr.write(f"fitq: {error.message} Trying again for up to {budget:.0f} s.\n")
            self.pause(wait)
            spent += wait
            backoff = min(backoff * 2, _LONGEST_PAUSE_SECONDS)

    def _try(
        self,
        client: httpx2.Client,
        method: str,
        url: str,
        repeatable: bool,
        body: dict[str, Any],
        stream: bool,
        token: str | None,
    ) -> tuple[httpx2.Response | FitqError, float | None]:
        """The answer, or the error with the seconds to wait: None for the usual, negative for never."""
        try:
            request = client.build_request(method, url, **body)
            self._authorize(request, token)
            response = client.send(request, stream=stream)
            self._reached = True
            if response.is_success:
                return response, None
            response.read()
            response.close()
        except httpx2.TransportError as exc:
            refused = isinstance(exc, httpx2.ConnectError | httpx2.ConnectTimeout)
            again = refused or (repeatable and not isinstance(exc, httpx2.ReadTimeout))
            error = unreachable(url, exc)
            error.__cause__ = exc
            return error, None if again else -1.0
        if not (repeatable and response.status_code in _REPEATED):
            return error_of(response), -1.0
        return error_of(response), _retry_after_seconds(response)

    def _client_for(self, url: str) -> httpx2.Client:
        plain = _is_plain_loopback(url)
        if plain not in self._clients:
            # No proxy of the environment reaches our own loopback. Without TLS there is nothing to verify,
            # and reading all certificates would take as long as ten requests.
            direct: dict[str, Any] = {"trust_env": False, "verify": False} if plain else {}
            self._clients[plain] = httpx2.Client(**self._options, **direct)
        return self._clients[plain]

    def _authorize(self, request: httpx2.Request, token: str | None) -> None:
        secret = self._token if token is None else token
        if secret:
            request.headers["Authorization"] = f"Bearer {secret}"


def _close(clients: dict[bool, httpx2.Client]) -> None:
    for client in clients.values():
        client.close()


def decoded(response: httpx2.Response) -> Any:
    """The JSON of an answer; None if it has no body.

    Raises:
        FitqError: the body is not JSON, so this is probably not our platform.
    """
    if response.status_code == 204 or not response.content:
        return None
    try:
        return response.json()
    except ValueError as exc:
        raise FitqError(
            f"{response.request.url} answered something that is not JSON.",
            hint="Is this address really a fitq platform? Check FITQ_URL and FITQ_SCORING_URL.",
        ) from exc


def error_of(response: httpx2.Response) -> FitqError:
    """The error that an answer carries."""
    if response.is_redirect:
        target = response.headers.get("location", "")
        return FitqError(
            f"{response.request.url} redirects to {target}.", hint="Set FITQ_URL to the final address."
        )
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = response.text.strip()[:300]
        host = f"{response.request.url.host}:{response.request.url.port or ''}".rstrip(":")
        body = {"message": f"{host} answered {response.status_code}. {text}".strip()}
    # A body may carry any data; what would collide with the error's own arguments is set aside.
    return from_body(response.status_code, {k: v for k, v in body.items() if k != "self"})


def unreachable(url: str, exc: Exception) -> Unavailable:
    """No answer from an address, with what to do about it."""
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}"
    if isinstance(exc, httpx2.ReadTimeout):
        return Unavailable(
            f"{address} did not answer within {_TIMEOUT.read:.0f} seconds.",
            hint="It may still be working on it. Look at its log, then try again.",
        )
    return Unavailable(
        f"Nothing answers at {address} ({exc or type(exc).__name__}).",
        hint="Is the platform running? Start it with: fitq up",
    )


def check_address(variable: str, url: str) -> str:
    """An address without its trailing slash.

    Raises:
        InvalidRequest: it is not http:// or https:// with a host.
    """
    if not _is_address(url):
        raise InvalidRequest(
            f"{variable} is {url!r}, which is not an address.", hint="A good value is http://127.0.0.1:8700."
        )
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or half an IPv6 address
        return False


def _checked_token(token: str) -> str:
    """A token without what surrounds it.

    Raises:
        InvalidRequest: it has characters that cannot be sent.
    """
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise InvalidRequest(
            "The token has characters that no token has.",
            hint="Set FITQ_TOKEN to what fitq_token is in .fitq/config.json.",
        )
    return token


def _is_plain_loopback(url: str) -> bool:
    """Whether an address is on this machine and without TLS."""
    parts = urlsplit(url)
    try:
        here = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        here = False
    return here and parts.scheme == "http"


def _retry_after_seconds(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - now()).total_seconds())
    except (TypeError, ValueError):
        return None


def json_body(value: object) -> bytes:
    """A request body: text and bytes as they are, anything else as JSON.

    numpy arrays and scalars become lists and numbers, a DataFrame its records, NaN becomes null.
    """
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict("records")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise InvalidRequest(
        f"A {type(value).__name__} cannot be sent as JSON.", hint="Send numbers, text, lists or objects."
    )
