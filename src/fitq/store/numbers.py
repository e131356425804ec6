"""Things with version numbers in the object store: `<prefix><n>.json`, n = 1, 2, 3 …"""

from __future__ import annotations

from fitq.store.protocols import ObjectStore


def numbers_below(objects: ObjectStore, prefix: str) -> list[int]:
    """The version numbers right below a prefix, smallest first."""
    stems = (found.key[len(prefix) :].removesuffix(".json") for found in objects.list(prefix))
    return sorted(int(stem) for stem in stems if stem.isdigit())
