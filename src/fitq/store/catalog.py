"""Models and endpoints as they lie in the object store. Reading needs nothing else, so scoring
answers while Redis is away. Writing them is `fitq.registry`'s business."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from fitq.errors import NotFound
from fitq.names import check_name, did_you_mean, version_number
from fitq.records import EndpointRecord, ModelAbout, ModelRecord, from_kept_json
from fitq.store.checked import get_checked
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore


class ModelSummary(NamedTuple):
    """A model's name and all that hangs on it."""

    name: str
    versions: list[int]  #: oldest first
    about: ModelAbout
    latest: ModelRecord

    @property
    def aliases(self) -> dict[str, int]:
        return self.about.aliases


class Catalog:
    """Finds models and endpoints of one workspace."""

    def __init__(self, objects: ObjectStore, workspace: str) -> None:
        self.objects = objects
        self.keys = ObjectKeys(workspace)

    def model_names(self) -> list[str]:
        return self.objects.list_folders(self.keys.models())

    def versions(self, name: str) -> list[int]:
        """Version numbers, oldest first; empty if there is no such model."""
        used, deleted = self._numbers(name)
        return sorted(used - deleted)

    def used(self, name: str) -> list[int]:
        """Every version number that was ever given, also of deleted ones, oldest first."""
        used, deleted = self._numbers(name)
        return sorted(used | deleted)

    def _numbers(self, name: str) -> tuple[set[int], set[int]]:
        prefix = self.keys.model_versions(check_name("model", name))
        files = [o.key[len(prefix) :].partition(".") for o in self.objects.list(prefix)]
        used = {int(stem) for stem, _, kind in files if kind == "json" and stem.isdigit()}
        return used, {int(stem) for stem, _, kind in files if kind == "deleted" and stem.isdigit()}

    def aliases(self, name: str) -> dict[str, int]:
        return self.about(name).aliases

    def about(self, name: str) -> ModelAbout:
        """What is said of a model as a whole; nothing, if there is no such model."""
        data = self.objects.get(self.keys.model_about(check_name("model", name)))
        return ModelAbout() if data is None else from_kept_json(data, ModelAbout)

    def model(self, name: str, version: str | int | None = None) -> ModelRecord:
        """A model by version number or alias; the newest version when none is given.

        Raises:
            NotFound: says which versions and aliases there are.
        """
        number = self.resolve(name, version)
        record = self.kept(name, number)
        if record is None or record.deleted_at is not None:
            raise self._no_version(name, str(version or number))
        return record

    def named(self, text: str) -> ModelRecord:
        """A model by `name`, `name:version` or `name:alias`.

        Raises:
            InvalidRequest: no model can be called so.
            NotFound: as `model`.
        """
        name, _, version = text.partition(":")
        return self.model(check_name("model", name), version or None)

    def kept(self, name: str, number: int) -> ModelRecord | None:
        """What stands under a version number, also of a deleted one."""
        data = self.objects.get(self.keys.model_version(name, number))
        return None if data is None else from_kept_json(data, ModelRecord)

    def golden(self, record: ModelRecord) -> bytes | None:
        """What a version answered when it was registered, as it was kept then.

        Raises:
            Altered: other bytes came.
        """
        key = self.keys.model_golden(record.name, record.golden)
        return get_checked(self.objects, key, record.golden)

    def resolve(self, name: str, version: str | int | None = None) -> int:
        """The version number that a version, an alias or nothing means now."""
        check_name("model", name)
        if version is None or version == "latest":
            versions = self.versions(name)
            if not versions:
                raise self._no_model(name)
            return versions[-1]
        number = version_number(str(version))
        if number is not None:
            return number
        alias = check_name("alias", str(version))
        found = self.aliases(name).get(alias)
        if found is None:
            raise self._no_version(name, alias)
        return found

    def summary(self, name: str) -> ModelSummary:
        """Everything about one model name."""
        versions = self.versions(name)
        if not versions:
            raise self._no_model(name)
        return ModelSummary(name, versions, self.about(name), self.model(name, versions[-1]))

    def summaries(self) -> list[ModelSummary]:
        found = []
        for name in self.model_names():
            with contextlib.suppress(NotFound):  # all its versions are deleted, or the first is not there yet
                found.append(self.summary(name))
        return found

    def endpoint(self, name: str) -> EndpointRecord:
        data = self.objects.get(self.keys.endpoint(check_name("endpoint", name)))
        if data is None:
            names = [e.name for e in self.endpoints()]
            raise NotFound(
                f"There is no endpoint {name!r}. {did_you_mean(name, names)}".strip(),
                hint="Deploy one with: fitq endpoints deploy NAME --model MODEL",
                endpoints=names[:20],
            )
        return from_kept_json(data, EndpointRecord)

    def endpoints(self) -> list[EndpointRecord]:
        keys = [o.key for o in self.objects.list(self.keys.endpoints())]
        found = (self.objects.get(key) for key in keys)
        return [from_kept_json(data, EndpointRecord) for data in found if data is not None]

    def endpoint_secret(self) -> bytes | None:
        """From which endpoint keys are derived; None until the first endpoint is deployed."""
        return self.objects.get(self.keys.endpoint_secret())

    def _no_model(self, name: str) -> NotFound:
        names = self.model_names()
        return NotFound(
            f"There is no model {name!r}. {did_you_mean(name, names)}".strip(),
            hint="Register one with: fitq models register NAME --run RUN --path outputs/model.joblib",
            models=names[:20],
        )

    def _no_version(self, name: str, version: str) -> NotFound:
        versions = self.versions(name)
        if not versions:
            return self._no_model(name)
        aliases = self.aliases(name)
        return NotFound(
            f"Model {name!r} has no version {version}. Versions: {', '.join(map(str, versions))}."
            + (f" Aliases: {', '.join(aliases)}." if aliases else ""),
            hint=f"List them with: fitq models show {name}",
            versions=versions,
            aliases=aliases,
        )
