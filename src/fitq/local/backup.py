"""A whole workspace as one file, and back. The bucket is everything: runs, logs, metrics, artifacts, models,
endpoints with the secret that their keys come from, pools, published functions. Redis is filled from it.

The file is a tar: `manifest.json`, one `objects/<key>` per object, and last `digests.json`, so that a file
that was cut off, or changed, is noticed before anything is restored.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from fitq.errors import Conflict, InvalidRequest
from fitq.records import Record, now, to_json
from fitq.store.protocols import ObjectStore

_FORMAT = 1
_MANIFEST, _DIGESTS, _OBJECTS = "manifest.json", "digests.json", "objects/"
_PIECE_BYTES = 1 << 20


class Manifest(Record, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    workspace: str
    created_at: str


class Kept(NamedTuple):
    """What a backup holds."""

    objects: int
    size_bytes: int


def backup(objects: ObjectStore, workspace: str, target: Path) -> Kept:
    """Write a workspace to a file that only its owner can read. The platform may go on working meanwhile.

    Raises:
        Conflict: the file is there already.
        InvalidRequest: its folder is not.
    """
    root = f"{workspace}/"
    part = target.with_name(f".{target.name}.part")
    if not target.parent.is_dir():
        raise InvalidRequest(f"There is no folder {target.parent}.", hint="Make it, or name another.")
    if target.exists():
        raise Conflict(f"{target} is there already.", hint="Give the name of a file that is not.")
    digests: dict[str, str] = {}
    size_bytes = 0
    try:
        with _private(part) as out, tarfile.open(fileobj=out, mode="w|") as tar:
            manifest = Manifest(format=_FORMAT, workspace=workspace, created_at=now().isoformat())
            _add(tar, _MANIFEST, io.BytesIO(to_json(manifest)), len(to_json(manifest)))
            for key in _keys(objects, root):
                size = _copy(objects, root + key, tar, key, digests)
                size_bytes += size
            listed = msgspec.json.encode(digests)
            _add(tar, _DIGESTS, io.BytesIO(listed), len(listed))
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return Kept(len(digests), size_bytes)


def _keys(objects: ObjectStore, root: str) -> Iterator[str]:
    """Runs that are not over first: one that ends meanwhile is there twice then, rather than not at all."""
    waiting = [o.key.removeprefix(root) for o in objects.list(f"{root}open/")]
    yield from waiting
    yield from (k for o in objects.list(root) if not (k := o.key.removeprefix(root)).startswith("open/"))


def _copy(objects: ObjectStore, key: str, tar: tarfile.TarFile, name: str, digests: dict[str, str]) -> int:
    pieces = objects.open(key)
    if pieces is None:  # a run that ended meanwhile: its record follows
        return 0
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as spool:
        for piece in pieces:
            digest.update(piece)
            spool.write(piece)
        size = spool.tell()
        spool.seek(0)
        _add(tar, _OBJECTS + name, spool, size)
    digests[name] = digest.hexdigest()
    return size


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, content)


@contextlib.contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        yield out
        out.flush()
        os.fsync(descriptor)


def restore(objects: ObjectStore, workspace: str, source: Path) -> Kept:
    """Write what a backup holds into a workspace that is empty.

    Raises:
        InvalidRequest: the file is no backup, or not whole; nothing was written.
        Conflict: the workspace holds something.
    """
    digests = _checked(source)
    if next(objects.list(f"{workspace}/"), None) is not None:
        raise Conflict(
            f"Workspace {workspace!r} holds something already.",
            hint="Restore into an empty bucket or folder.",
        )
    size_bytes = 0
    for name, content, size in _members(source):
        if name.startswith(_OBJECTS):
            objects.put(f"{workspace}/{name.removeprefix(_OBJECTS)}", content, size)  # type: ignore[arg-type]
            size_bytes += size
    return Kept(len(digests), size_bytes)


def _checked(source: Path) -> dict[str, str]:
    """The digests at the end of a file that holds exactly what they say.

    Raises:
        InvalidRequest: it does not.
    """
    found: dict[str, str] = {}
    manifest: Manifest | None = None
    listed: dict[str, str] | None = None
    try:
        for name, content, _ in _members(source):
            if name == _MANIFEST:
                manifest = msgspec.json.decode(content.read(), type=Manifest)
            elif name == _DIGESTS:
                listed = msgspec.json.decode(content.read(), type=dict[str, str])
            else:
                found[name.removeprefix(_OBJECTS)] = _digest(content)
    except (tarfile.TarError, msgspec.DecodeError, EOFError) as exc:
        raise InvalidRequest(f"{source} is no backup, or not whole: {exc}.", hint=_HINT) from exc
    if manifest is None or listed is None or found != listed:
        raise InvalidRequest(f"{source} is no backup, or not whole.", hint=_HINT)
    if manifest.format != _FORMAT:
        raise InvalidRequest(
            f"{source} is of format {manifest.format}; this version reads {_FORMAT}.",
            hint="Use the version of fitq that reads it.",
        )
    return listed


_HINT = "Nothing was restored. Make a backup with: fitq backup FILE"


def _members(source: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    with tarfile.open(source, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise tarfile.TarError(f"{member.name} is no file")
            yield member.name, content, member.size


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := content.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
