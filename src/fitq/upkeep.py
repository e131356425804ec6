"""Rules for what happens to a model after it was registered: what may change of a version, and its end."""

from __future__ import annotations

import re

import msgspec

from fitq.backend import Backend
from fitq.errors import Conflict, InvalidRequest
from fitq.logs import get_logger
from fitq.names import version_number
from fitq.records import ChangeRequest, ModelRecord, from_kept_json, now, to_json
from fitq.revisions import revise
from fitq.store.catalog import Catalog

log = get_logger(__name__)


def change(backend: Backend, name: str, version: str | int, request: ChangeRequest) -> ModelRecord:
    """Change tags, description, or whether other answers are tolerated. Of two at once neither is lost.

    Raises:
        NotFound: there is no such version.
    """
    record = backend.catalog.model(name, version)

    def changed(data: bytes | None) -> bytes:
        before = record if data is None else from_kept_json(data, ModelRecord)
        tags = {**before.tags, **(request.tags or {})}
        return to_json(
            msgspec.structs.replace(
                before,
                tags={k: v for k, v in tags.items() if v is not None},
                description=before.description if request.description is None else request.description,
                tolerated=before.tolerated if request.tolerated is None else request.tolerated,
            )
        )

    key = backend.keys.model_version(name, record.version)
    after = from_kept_json(revise(backend.objects, key, changed, what=f"Model {record.id}"), ModelRecord)
    backend.note_change(name)
    if after.tolerated != record.tolerated:
        log.warning("model_tolerated_changed", model=record.id, tolerated=after.tolerated)
    return after


def approve_file(backend: Backend, sha256: str) -> None:
    """Trust a model file: from now on these bytes may be registered whatever they import.

    Raises:
        InvalidRequest: that is no SHA-256.
    """
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise InvalidRequest(f"{sha256[:80]!r} is no SHA-256.", at="sha256", hint="64 lower-case hex digits.")
    backend.objects.put(backend.keys.approval(sha256), to_json({"at": now()}))
    log.warning("model_file_approved", sha256=sha256)


def delete_version(backend: Backend, name: str, version: int) -> None:
    """Take a version away, unless that was done before. Its number is never used again.

    Raises:
        NotFound: there never was such a version.
        Conflict: an alias or an endpoint still points to it.
    """
    models = backend.catalog
    kept = models.kept(name, version)
    if kept is not None and kept.deleted_at is not None:
        return
    record = models.model(name, version)
    aliases = [alias for alias, number in models.aliases(name).items() if number == version]
    if aliases:
        raise Conflict(
            f"Model {record.id} is what the alias {aliases[0]!r} means.",
            hint=f"Move it first: fitq models alias {name} {aliases[0]} VERSION",
            aliases=aliases,
        )
    _check_unused(models, name, version)
    _bury(backend, models, record)


def delete_model(backend: Backend, name: str) -> None:
    """Take every version of a model away, with what is said of it. Their numbers are never used again.

    Raises:
        NotFound: there never was such a model.
        Conflict: an endpoint scores with it.
    """
    models = backend.catalog
    if models.used(name) and not models.versions(name):
        return
    summary = models.summary(name)
    _check_unused(models, name, None)
    backend.objects.delete(backend.keys.model_about(name))
    for version in summary.versions:
        _bury(backend, models, models.model(name, version))


def check_number(version: str) -> int:
    """A version as a number: what is deleted is named exactly.

    Raises:
        InvalidRequest: it is an alias.
    """
    number = version_number(version)
    if number is None:
        raise InvalidRequest(
            f"{version!r} is not a version number.",
            at="version",
            hint="Name the version by its number: an alias may have moved since you looked.",
        )
    return number


def _check_unused(models: Catalog, name: str, version: int | None) -> None:
    """Whether no endpoint gives traffic to a version, or to any if None."""
    for endpoint in models.endpoints():
        shares = {int(v): share for v, share in endpoint.traffic.items()}
        if endpoint.model == name and (version is None or shares.get(version, 0) > 0):
            raise Conflict(
                f"Endpoint {endpoint.name!r} scores with model {name!r}: {endpoint.traffic}.",
                hint=f"Give its traffic to another version (fitq endpoints deploy {endpoint.name} …) "
                f"or delete it: fitq endpoints delete {endpoint.name}",
                endpoint=endpoint.name,
                traffic=endpoint.traffic,
            )


def _files(record: ModelRecord) -> set[str]:
    """Where the bytes of a version are: of its file, and of the models that its entry script reads."""
    return {record.object_key, *(m.object_key for m in (record.entry.models if record.entry else []))}


def _bury(backend: Backend, models: Catalog, record: ModelRecord) -> None:
    """The marker first: from then on it is in no list. Doing it again completes what was interrupted."""
    objects, keys = backend.objects, backend.keys
    objects.put(keys.model_tombstone(record.name, record.version), b"")
    gone = msgspec.structs.replace(record, deleted_at=now())
    objects.put(keys.model_version(record.name, record.version), to_json(gone))
    backend.note_change(record.name)
    others = [models.model(record.name, v) for v in models.versions(record.name)]
    for key in _files(record) - set[str]().union(*map(_files, others)):
        objects.delete(key)
    if record.golden and all(other.golden != record.golden for other in others):
        objects.delete(keys.model_golden(record.name, record.golden))
    log.info("model_deleted", model=record.id)
