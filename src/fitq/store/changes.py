"""Notes that a model changed, so that whoever serves many learns of it from one short listing.

A note is an empty object, `changes/<period>/<model>/<nonce>`: a period is ten minutes, so a listing holds
only what is new. It is written after the change, and may be missing where a writer died in between: who
reads notes looks at everything now and then as well. Old ones go when new ones come.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore

log = get_logger(__name__)
PERIOD_SECONDS = 600
#: Clocks of writers and readers may differ by so much.
_SKEW_SECONDS = 120
_KEPT_PERIODS = 6
#: Old notes that one change takes away: more than it adds, so they do not gather.
_SWEPT = 10


def note_change(
    objects: ObjectStore, keys: ObjectKeys, model: str, clock: Callable[[], float] = time.time
) -> None:
    """Say that a version, an alias or what is said of a model is other than before.

    Never an error: the change was made, and where this fails it is only found later.
    """
    period = _period(clock())
    try:
        objects.put(keys.change(period, model, secrets.token_hex(8)), b"")
        old = (p for p in objects.list_folders(keys.changes()) if int(p) < period - _KEPT_PERIODS)
        for note in list(objects.list(keys.changes_of(int(next(old, "0")))))[:_SWEPT]:
            objects.delete(note.key)
    except Unavailable as exc:
        log.warning("change_not_noted", model=model, error=exc.message)


class Changes:
    """Reads notes, each once."""

    def __init__(
        self, objects: ObjectStore, keys: ObjectKeys, clock: Callable[[], float] = time.time
    ) -> None:
        self._objects, self._keys, self._clock = objects, keys, clock
        self._seen: dict[int, set[str]] = {}  #: period → notes

    def new(self) -> set[str]:
        """Names of models that changed since the last time.

        Raises:
            Unavailable: nothing of it is lost.
        """
        now = self._clock()
        models: set[str] = set()
        for period in sorted({_period(now + skew) for skew in (-_SKEW_SECONDS, 0, _SKEW_SECONDS)}):
            prefix = self._keys.changes_of(period)
            notes = {note.key for note in self._objects.list(prefix)}
            models |= {n[len(prefix) :].partition("/")[0] for n in notes - self._seen.get(period, set())}
            self._seen[period] = notes
        for period in [p for p in self._seen if p < _period(now) - 1]:
            del self._seen[period]
        return models


def _period(at: float) -> int:
    return int(at // PERIOD_SECONDS)
