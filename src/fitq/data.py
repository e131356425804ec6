"""Rules of data: named, versioned files and folders that runs take as input.

Bytes are sent first, in parts that are named by their SHA-256; a version is then a list of files and their
parts. So an upload that was interrupted goes on where it stopped, and what is there is not sent again. What a
name's newest version should be, whatever was before, is the business of `data_settings.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound, TooLarge
from fitq.logs import get_logger
from fitq.names import check_name, did_you_mean, stays_inside, version_number
from fitq.records import DataContent, DataFile, DataRecord, DataRequest, from_json, now, to_json
from fitq.store.checked import Altered, open_checked
from fitq.store.numbers import Numbers, names_below, numbers_below
from fitq.units import format_bytes

log = get_logger(__name__)
#: Most bytes of a part. One put each: a part is there whole or not at all.
PART_BYTES = 16 << 20
_MOST_FILES = 50_000
_AT_ONCE = 16


class DataSummary(NamedTuple):
    """A name of data, and its versions."""

    name: str
    versions: list[int]  #: oldest first
    latest: DataRecord


def keep_part(backend: Backend, sha256: str, content: bytes) -> None:
    """Keep the bytes that have this SHA-256.

    Raises:
        InvalidRequest: they have another.
        TooLarge: they are more than a part may have.
    """
    if len(content) > PART_BYTES:
        raise TooLarge(f"A part may have {format_bytes(PART_BYTES)}.", expected=PART_BYTES, got=len(content))
    found = hashlib.sha256(content).hexdigest()
    if found != check_name("snapshot", sha256):
        raise InvalidRequest(
            "The bytes do not have the SHA-256 of the address; they may have changed on the way.",
            hint="Send them again.",
            expected=sha256,
            got=found,
        )
    backend.objects.put(backend.keys.data_part(sha256), content)


def missing_parts(backend: Backend, parts: list[str]) -> list[str]:
    """Which of these parts are not there yet, in their order."""
    wanted = list(dict.fromkeys(check_name("snapshot", part) for part in parts))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        sizes = threads.map(lambda part: backend.objects.size(backend.keys.data_part(part)), wanted)
    return [part for part, size in zip(wanted, sizes, strict=True) if size is None]


def add(backend: Backend, request: DataRequest) -> DataRecord:
    """Make these files the next version of the data; the version that holds just them, if there is one.

    Raises:
        InvalidRequest: a name or path is wrong, or the files are none.
        NotFound: some parts are not there; `missing` lists them.
    """
    check_name("data", request.name)
    digest = keep_content(backend, request)
    while True:
        known = numbers(backend, request.name)
        same = with_digest(backend, request.name, known, digest)
        found = same or add_version(backend, request, known.following)
        if found is not None:
            return found


def keep_content(backend: Backend, content: DataContent) -> str:
    """Keep a file or folder without a name; returns its digest.

    Raises:
        InvalidRequest: a path is wrong, or the files are none.
        NotFound: some parts are not there; `missing` lists them.
    """
    _check_files(content)
    if missing := missing_parts(backend, [part for file in content.files for part in file.parts]):
        raise NotFound(
            f"{len(missing)} parts of this data are not there yet.",
            hint="Send each with PUT /v1/data-parts/<sha256>, then this again.",
            missing=missing,
        )
    plain = DataContent(files=content.files, is_folder=content.is_folder)
    backend.objects.put_if_absent(backend.keys.data_content(plain.digest), to_json(plain))
    return plain.digest


def with_digest(backend: Backend, name: str, known: Numbers, digest: str) -> DataRecord | None:
    """The newest of these versions that holds just that, if one does."""
    records = (_read(backend, name, version) for version in reversed(known.listed))
    return next((record for record in records if record is not None and record.digest == digest), None)


def add_version(backend: Backend, request: DataRequest, version: int) -> DataRecord | None:
    """Make these files that version, whatever others hold; None if somebody else has the number."""
    record = DataRecord(
        name=request.name,
        version=version,
        created_at=now(),
        files=request.files,
        is_folder=request.is_folder,
        digest=request.digest,
        description=request.description,
        tags=request.tags,
    )
    key = backend.keys.data_version(record.name, record.version)
    if not backend.objects.put_if_absent(key, to_json(record)):
        return None
    log.info("data_added", data=record.id, files=len(record.files), bytes=record.size_bytes)
    return record


def _check_files(content: DataContent) -> None:
    files = content.files
    if not files or len(files) > _MOST_FILES or (len(files) != 1 and not content.is_folder):
        raise InvalidRequest(
            f"Data is one file, or a folder of 1 to {_MOST_FILES} files; this has {len(files)}.", at="files"
        )
    for n, file in enumerate(files):
        if not stays_inside(file.path) or file.size_bytes < 0:
            raise InvalidRequest(f"{file.path[:100]!a} is not a path in a folder.", at=f"files[{n}].path")
    paths = sorted(file.path for file in files)
    for one, following in pairwise(paths):
        if one == following or following.startswith(f"{one}/"):
            raise InvalidRequest(f"{one!r} is there twice, or is both file and folder.", at="files")


def names(backend: Backend) -> list[str]:
    """All names of data."""
    return names_below(backend.objects, backend.keys.data())


def versions(backend: Backend, name: str) -> list[int]:
    """Version numbers, oldest first; empty if there is no such data."""
    return numbers(backend, name).listed


def numbers(backend: Backend, name: str) -> Numbers:
    """The same, with those that were withdrawn."""
    return numbers_below(backend.objects, backend.keys.data_versions(check_name("data", name)))


def summary(backend: Backend, name: str) -> DataSummary:
    """A name of data with its versions.

    Raises:
        NotFound: there is none; with near matches.
    """
    known = numbers(backend, name)
    return DataSummary(name, known.listed, _find(backend, name, known, None))


def find(backend: Backend, name: str, version: str | int | None = None) -> DataRecord:
    """A version of data; the newest when none is given. By its number also one that was withdrawn.

    Raises:
        NotFound: says what there is.
    """
    return _find(backend, name, numbers(backend, name), version)


def _find(backend: Backend, name: str, known: Numbers, version: str | int | None) -> DataRecord:
    number = known.newest if version in (None, "latest") else version_number(str(version))
    record = _read(backend, name, number) if number is not None else None
    if record is None:
        raise _unknown(backend, name, known, version)
    return record


def _unknown(backend: Backend, name: str, known: Numbers, version: str | int | None) -> NotFound:
    if not known.given:
        others = names(backend)
        return NotFound(
            f"There is no data {name!r}. {did_you_mean(name, others)}".strip(),
            hint="Send some with: fitq data upload NAME PATH",
            data=others[:20],
        )
    listed = ", ".join(map(str, known.listed[-20:]))
    if not listed:
        last = known.given[-1]
        return NotFound(
            f"Data {name!r} was withdrawn.",
            hint=f"Its versions can still be named, up to {name}:{last}; or upload it again",
            versions=[],
        )
    return NotFound(f"Data {name!r} has no version {version}. Versions: {listed}.", versions=known.listed)


def resolve(backend: Backend, given: str) -> DataRecord:
    """`flowers:3`, or `flowers` for its newest version."""
    name, _, version = given.partition(":")
    return find(backend, name, version or None)


def open_file(backend: Backend, file: DataFile) -> Iterator[bytes]:
    """The bytes of one file, part after part.

    Raises:
        NotFound: a part is gone.
        Altered: a part came with other bytes; its last ones are held back.
    """
    for sha256 in file.parts:
        pieces = open_checked(backend.objects, backend.keys.data_part(sha256), sha256)
        if pieces is None:
            raise NotFound(f"Part {sha256} of {file.path!r} is not in the object store any more.")
        yield from pieces


def _read(backend: Backend, name: str, version: int) -> DataRecord | None:
    key = backend.keys.data_version(name, version)
    data = backend.objects.get(key)
    return None if data is None else _decoded(data, key)


def _decoded(data: bytes, key: str) -> DataRecord:
    """A record as it was kept: with a wrong name of a part, the part would seem to be gone."""
    try:
        record = from_json(data, DataRecord)
    except InvalidRequest as exc:
        raise Altered(key) from exc
    if DataContent(files=record.files, is_folder=record.is_folder).digest != record.digest:
        raise Altered(key)
    return record
