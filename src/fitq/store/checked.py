"""Reading what has a known SHA-256: wrong bytes are never taken for right ones.

A network, a proxy or a disk may change bytes and keep their number. Whoever waits for a store that is away
waits for this as well: what was changed on its way arrives the next time.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.store.protocols import ObjectStore

log = get_logger(__name__)


class Altered(Unavailable):
    """The object store sent other bytes than were kept."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The object store sent other bytes for {key} than were kept there.",
            hint="Try again in a few seconds. If that goes on, the object was changed: look at the store.",
        )


def open_checked(objects: ObjectStore, key: str, sha256: str) -> Iterator[bytes] | None:
    """As `ObjectStore.open`; of wrong bytes the last piece never comes.

    Args:
        sha256: of the bytes that were kept, 64 lower-case hex digits.

    Raises:
        Altered: in place of the last piece; at once where there is only one.
    """
    pieces = objects.open(key)
    return None if pieces is None else checked(pieces, key, sha256)


def get_checked(objects: ObjectStore, key: str, sha256: str) -> bytes | None:
    """As `ObjectStore.get`.

    Raises:
        Altered: they are other bytes.
    """
    pieces = open_checked(objects, key, sha256)
    return None if pieces is None else b"".join(pieces)


def checked(pieces: Iterator[bytes], key: str, sha256: str) -> Iterator[bytes]:
    """The pieces of an object that is open already, as `open_checked` has them; `key` is for messages."""
    found = _checked(pieces, key, sha256)
    return itertools.chain([next(found, b"")], found)


def _checked(pieces: Iterator[bytes], key: str, sha256: str) -> Iterator[bytes]:
    digest, last = hashlib.sha256(), b""
    for piece in pieces:
        digest.update(piece)
        if last:
            yield last
        last = piece
    if digest.hexdigest() != sha256:
        log.warning("object_altered", key=key, expected=sha256, got=digest.hexdigest())
        raise Altered(key)
    if last:
        yield last
