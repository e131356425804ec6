"""Objects that change: who writes one names the revision that was read, or reads again until nobody was
quicker. A revision is a short hash of the bytes; what does not exist has the revision `ABSENT`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fitq.errors import Outdated, Unavailable
from fitq.store.protocols import ObjectStore

ABSENT = ""
_TRIES = 50


def revision_of(data: bytes | None) -> str:
    """The revision of these bytes."""
    return ABSENT if data is None else hashlib.sha256(data).hexdigest()[:16]


def check_revision(what: str, found: str, expected: str | None) -> None:
    """Go on only over the revision that was expected; None: over any.

    Raises:
        Outdated: it is another one by now.
    """
    if expected is None or expected == found:
        return
    happened = "does not exist any more" if not found else "was changed" if expected else "exists already"
    raise Outdated(f"{what} {happened}.", expected=expected, got=found)


def revise(
    objects: ObjectStore,
    key: str,
    update: Callable[[bytes | None], bytes],
    *,
    what: str,
    expected: str | None = None,
) -> bytes:
    """Write `update(current bytes)` over exactly the current bytes; returns what was written.

    Args:
        update: may be called several times; takes None when there is nothing yet.
        what: the thing, for an error.
        expected: the only revision that may be written over; None for any.

    Raises:
        Outdated: it is not of the expected revision (any more).
    """
    for _ in range(_TRIES):
        found = objects.get_tagged(key)
        check_revision(what, revision_of(found.data if found else None), expected)
        data = update(found.data if found else None)
        won = objects.put_if_same(key, data, found.tag) if found else objects.put_if_absent(key, data)
        if won:
            return data
    raise Unavailable(f"{what} is being changed by many at once.")
