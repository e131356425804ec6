"""Rules of what a name of data should be: the content of its newest version, and what is said of it.

Other content makes the next version, also when an earlier version held it: the newest one is what was asked
for. Other words alone change the newest version itself, because runs that take it take the same bytes.
"""

from __future__ import annotations

import msgspec

from fitq import data
from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound
from fitq.logs import get_logger
from fitq.names import check_name, is_sha256
from fitq.records import DataContent, DataRecord, DataRequest, DataSettings, from_kept_json, to_json
from fitq.revisions import ABSENT, check_revision, revise, revision_of
from fitq.store.numbers import Numbers

log = get_logger(__name__)


def kept_settings(backend: Backend, name: str) -> tuple[DataSettings | None, str]:
    """What the newest version is, if there is one, and its revision."""
    return _settings_of(backend, name, data.numbers(backend, name))


def _settings_of(backend: Backend, name: str, known: Numbers) -> tuple[DataSettings | None, str]:
    found = backend.objects.get(backend.keys.data_version(name, known.newest)) if known.newest else None
    if found is None:
        return None, ABSENT
    record = from_kept_json(found, DataRecord)
    said = {field: getattr(record, field) for field in DataSettings.__struct_fields__}
    return DataSettings(**said), revision_of(found)


def check_settings(name: str, settings: DataSettings) -> None:
    """Refuse what `configure` refuses, as far as it can be seen without the store."""
    check_name("data", name)
    if not is_sha256(settings.digest):
        raise InvalidRequest(
            f"{settings.digest[:80]!r} is no digest.", at="digest", hint="64 lower-case hex digits."
        )


def configure(backend: Backend, name: str, settings: DataSettings, *, expected: str | None = None) -> None:
    """Make this the newest version of the data, unless it is.

    Raises:
        NotFound: its content is not there.
        Outdated: the newest version has another revision than the expected one.
    """
    check_settings(name, settings)
    done = False
    while not done:
        known = data.numbers(backend, name)
        current, revision = _settings_of(backend, name, known)
        check_revision(f"Data {name!r}", revision, expected)
        if current == settings:
            return
        if current is not None and current.digest == settings.digest:
            assert known.newest is not None
            _describe(backend, backend.keys.data_version(name, known.newest), settings, expected)
            return
        content = _content(backend, name, known, settings.digest)
        request = DataRequest(
            name=name,
            files=content.files,
            is_folder=content.is_folder,
            description=settings.description,
            tags=settings.tags,
        )
        done = data.add_version(backend, request, known.following) is not None


def _describe(backend: Backend, key: str, settings: DataSettings, expected: str | None) -> None:
    def described(found: bytes | None) -> bytes:
        record = from_kept_json(found or b"", DataRecord)
        changed = msgspec.structs.replace(record, description=settings.description, tags=settings.tags)
        return to_json(changed)

    revise(backend.objects, key, described, what="This version of data", expected=expected)


def find_content(backend: Backend, name: str, digest: str) -> DataContent:
    """The files that have this digest.

    Raises:
        NotFound: they were never sent.
    """
    return _content(backend, name, data.numbers(backend, name), digest)


def _content(backend: Backend, name: str, known: Numbers, digest: str) -> DataContent:
    found = backend.objects.get(backend.keys.data_content(digest))
    if found is not None:
        return from_kept_json(found, DataContent)
    record = data.with_digest(backend, name, known, digest)  # of before contents were kept by their digest
    if record is None:
        raise NotFound(
            f"There is no content {digest} for data {name!r} here.",
            at="digest",
            hint="Name the file or folder itself, with path; or send it: fitq data upload NAME PATH.",
        )
    return DataContent(files=record.files, is_folder=record.is_folder)


def withdraw(backend: Backend, name: str, *, expected: str | None = None) -> None:
    """Take a name out of all lists, if it is there. Runs that name a version by its number still find it.

    Raises:
        Outdated: the newest version has another revision than the expected one.
    """
    known = data.numbers(backend, name)
    check_revision(f"Data {name!r}", _settings_of(backend, name, known)[1], expected)
    if known.newest is not None:
        backend.objects.put(backend.keys.data_withdrawn(name, known.newest), b"")
        log.info("data_withdrawn", data=f"{name}:{known.newest}")
