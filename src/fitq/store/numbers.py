"""Things with version numbers in the object store: `<prefix><n>.json`, n = 1, 2, 3 …

`<prefix><n>.withdrawn` says that all versions up to n were withdrawn: they are in no list any more, but who
names one by its number still finds it, and no number is given twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from fitq.store.protocols import ObjectStore


class Numbers(NamedTuple):
    """The version numbers of one thing, smallest first."""

    listed: list[int]
    given: list[int]  #: also of what was withdrawn

    @property
    def newest(self) -> int | None:
        """The version that is meant when none is named; None if none is listed."""
        return self.listed[-1] if self.listed else None

    @property
    def following(self) -> int:
        """The number of the next version."""
        return (self.given[-1] if self.given else 0) + 1


def numbers_below(objects: ObjectStore, prefix: str) -> Numbers:
    """The version numbers right below a prefix."""
    return _numbers(found.key[len(prefix) :] for found in objects.list(prefix))


def names_below(objects: ObjectStore, prefix: str) -> list[str]:
    """The folders below a prefix that have a version which is listed, by name."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for found in objects.list(prefix):
        files[found.key[len(prefix) :].partition("/")[0]].append(found.key.rpartition("/")[2])
    return sorted(name for name, its in files.items() if _numbers(its).listed)


def _numbers(files: Iterable[str]) -> Numbers:
    split = [file.partition(".") for file in files]
    given = sorted(int(stem) for stem, _, kind in split if kind == "json" and stem.isdigit())
    last = max((int(stem) for stem, _, kind in split if kind == "withdrawn" and stem.isdigit()), default=0)
    return Numbers([n for n in given if n > last], given)
