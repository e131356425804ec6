"""Tokens and endpoint keys: compared in constant time, never kept where they need not be.

Endpoint keys are not stored: they are derived from one random secret of the workspace, the endpoint's
name, and a generation that rotation raises. Losing Redis loses no key, and no listing shows one.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import hmac
import secrets
import sys
import time

KEY_NAMES = ("primary", "secondary")
_LOGIN_SECONDS = 600
_PR_SET_DUMPABLE = 4


def new_token() -> str:
    """A fresh platform token."""
    return f"fitq_{secrets.token_urlsafe(32)}"


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in time that does not depend on where they differ."""
    digests = (hashlib.sha256(s.encode()).digest() for s in (given, expected))
    return bool(expected) and hmac.compare_digest(*digests)


def bearer(header: str | None) -> str:
    """The token in an `Authorization` header, or the empty string."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def endpoint_key(secret: bytes, endpoint: str, which: str, generation: int) -> str:
    """The key of an endpoint; `which` is primary or secondary."""
    message = f"{endpoint}|{which}|{generation}".encode()
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")).decode().rstrip("=")


def login_code(token: str, at: float | None = None) -> str:
    """A code that opens the dashboard for ten minutes, so that no token stands in an address."""
    expires = int((time.time() if at is None else at) + _LOGIN_SECONDS)
    return f"{expires}.{_signature(token, str(expires))}"


def valid_login_code(token: str, code: str, at: float | None = None) -> bool:
    """Whether `login_code` made this code with this token, and not too long ago."""
    expires, _, signature = code.partition(".")
    # What follows may trust the number: nobody but the holder of the token wrote it.
    if not token or not same_secret(signature, _signature(token, expires)):
        return False
    return int(expires) >= (time.time() if at is None else at)


def _signature(token: str, expires: str) -> str:
    return hmac.new(token.encode(), f"login|{expires}".encode(), "sha256").hexdigest()


def hide_this_process() -> None:
    """Close this process's memory and environment to other processes of the same user, its children first.

    Models and scripts run in children; `/proc/<pid>/environ` would show them every key we were given.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
