"""Rules of snapshots that were sent: each is checked and kept once, and its files are known by its id."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

import msgspec

from fitq.backend import Backend
from fitq.errors import NotFound
from fitq.names import check_name
from fitq.snapshots import read_members


def keep_snapshot(backend: Backend, source: BinaryIO, *, max_bytes: int, max_files: int) -> str:
    """Check and keep a snapshot; returns its id, the SHA-256 of its bytes.

    Raises:
        UnsafeSnapshot, TooLarge: nothing is kept.
    """
    digest, size = hashlib.sha256(), 0
    while piece := source.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    sha256 = digest.hexdigest()
    if _files_of(backend, sha256) is not None:  # the same bytes were sent before
        return sha256
    source.seek(0)
    files = [m.path for m in read_members(source, max_bytes=max_bytes, max_files=max_files)]
    source.seek(0)
    backend.objects.put(backend.keys.snapshot(sha256), source, size)
    # Written last: a snapshot exists once its list of files does.
    backend.objects.put(backend.keys.snapshot_files(sha256), msgspec.json.encode(files))
    return sha256


def _files_of(backend: Backend, snapshot: str) -> bytes | None:
    key = backend.keys.snapshot_files(snapshot)
    return backend.listed.looked_up(snapshot, lambda: backend.objects.get(key))


def files_of_snapshot(backend: Backend, snapshot: str, *, at: str) -> list[str]:
    """The paths in a kept snapshot; `at` is where a request names it.

    Raises:
        InvalidRequest: that is no snapshot's id.
        NotFound: it was never sent.
    """
    listed = _files_of(backend, check_name("snapshot", snapshot))
    if listed is None:
        raise NotFound(f"There is no snapshot {snapshot}.", hint="POST /v1/snapshots first.", at=at)
    return msgspec.json.decode(listed, type=list[str])
