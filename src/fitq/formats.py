"""Rules of versions: which programs may work on a bucket, and which may work together.

What is kept has a *format*, a number that goes up when a program of before could no longer read it rightly.
The first program that works on a bucket writes its format there; one that is older than what it finds stops
with a sentence, before it writes anything. Redis needs no such number: it is filled from the bucket.

Within a format, records may gain fields: programs leave out what they do not know and take defaults for
what is missing. So programs of neighbouring versions work together while they are replaced one by one.
"""

from __future__ import annotations

from datetime import datetime

from fitq import __version__
from fitq.errors import Conflict
from fitq.records import Record, from_kept_json, now, to_json
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore

#: Of what this version writes. Goes up together with a step in `fitq upgrade` that brings buckets along.
FORMAT = 1


class FormatRecord(Record, frozen=True, kw_only=True):
    """The format of a bucket, and who wrote it first."""

    format: int
    written_by: str  #: version of fitq
    at: datetime


def agree(objects: ObjectStore, keys: ObjectKeys) -> FormatRecord:
    """The bucket's format; ours, if nothing was kept there yet.

    Raises:
        Conflict: it is newer than ours, and this program must leave it alone.
    """
    found = read(objects, keys)
    if found is None:
        ours = FormatRecord(format=FORMAT, written_by=__version__, at=now())
        objects.put_if_absent(keys.format(), to_json(ours))
        found = read(objects, keys) or ours
    return check(found)


def check(found: FormatRecord) -> FormatRecord:
    """The same, if this program may work on it.

    Raises:
        Conflict: it may not.
    """
    if found.format > FORMAT:
        raise Conflict(
            f"This bucket has format {found.format}, written by fitq {found.written_by}; "
            f"fitq {__version__} understands formats up to {FORMAT}.",
            hint="Run this program in the newer version, or point it to another bucket or workspace.",
            format=found.format,
            understood=FORMAT,
        )
    return found


def read(objects: ObjectStore, keys: ObjectKeys) -> FormatRecord | None:
    """What stands in the bucket; None in one that no program has worked on."""
    data = objects.get(keys.format())
    return None if data is None else from_kept_json(data, FormatRecord)
