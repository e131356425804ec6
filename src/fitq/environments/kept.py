"""What is known of an environment for ever: its exact packages, in the object store."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from fitq.errors import InvalidRequest, NotFound
from fitq.records import Record, from_json, to_json
from fitq.store.checked import Altered
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore


class KeptEnvironment(Record, frozen=True, kw_only=True):
    """One hash, resolved once."""

    hash: str
    created_at: datetime
    python: str  #: release that it was first built with, `3.6.15`
    tag: str  #: what it is for: `cpython-3.6`
    platform: str  #: `linux-x86_64`
    requirements: list[str]  #: as asked for
    exclude_newer: str = ""
    packages: dict[str, str]  #: name → version, all of them
    locked: str  #: requirements file with every package, exact, with the hashes of its files
    locked_sha256: str = ""  #: of that file in UTF-8, 64 lower-case hex digits


class Kept:
    """Environments in the object store."""

    def __init__(self, objects: ObjectStore, keys: ObjectKeys) -> None:
        self._objects, self._keys = objects, keys

    def find(self, hash: str) -> KeptEnvironment | None:
        """What is known of a hash, if anything is.

        Raises:
            Altered: the object store sent something else.
        """
        key = self._keys.environment(hash)
        data = self._objects.get(key)
        return None if data is None else _decoded(data, key)

    def get(self, hash: str) -> KeptEnvironment:
        """What is known of a hash.

        Raises:
            NotFound: it was never built to its end.
        """
        found = self.find(hash)
        if found is None:
            raise NotFound(f"No environment {hash[:12]} was ever built.", hint="fitq environments list")
        return found

    def keep(self, built: KeptEnvironment, log: str) -> KeptEnvironment:
        """Keep what was resolved, unless somebody was first; what counts from now on."""
        built = msgspec.structs.replace(built, locked_sha256=_sha256(built.locked))
        first = self._objects.put_if_absent(self._keys.environment(built.hash), to_json(built))
        if first:
            self._objects.put(self._keys.environment_log(built.hash), log.encode())
            return built
        return self.get(built.hash)


def _decoded(data: bytes, key: str) -> KeptEnvironment:
    try:
        kept = from_json(data, KeptEnvironment)
    except InvalidRequest as exc:
        raise Altered(key) from exc
    if kept.locked_sha256 not in ("", _sha256(kept.locked)):  # empty: kept before that was recorded
        raise Altered(key)
    return kept


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
