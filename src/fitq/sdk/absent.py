"""What Azure's client can do and fitq cannot yet: refused with the reason, never pretended."""

from __future__ import annotations

from fitq.errors import InvalidRequest


def absent(what: str, instead: str) -> InvalidRequest:
    """The refusal of something that is not there yet; `instead` says what to do."""
    return InvalidRequest(f"{what} is not part of this version of fitq.", hint=instead)
