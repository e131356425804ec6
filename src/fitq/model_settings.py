"""Rules of what is said of a model as a whole: its aliases, its description, its tags.

All of it is one object, so what is put is there at once or not at all, and of two at once neither is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound
from fitq.names import check_name
from fitq.records import ModelAbout, ModelSettings, from_kept_json, to_json
from fitq.revisions import ABSENT, check_revision, revise, revision_of


def kept_settings(backend: Backend, name: str) -> tuple[ModelSettings | None, str]:
    """What can be changed about a model, and its revision; nothing if no version of it is there."""
    if not backend.catalog.versions(name):
        return None, ABSENT
    settings = _settings(backend.catalog.about(name))
    return settings, _revision(settings)


def _settings(about: ModelAbout) -> ModelSettings:
    said = {field: getattr(about, field) for field in ModelSettings.__struct_fields__}
    return ModelSettings(**{**said, "aliases": dict(sorted(about.aliases.items()))})


def _revision(settings: ModelSettings) -> str:
    """Also of a model of which nothing was said yet: nobody can say it without its being noticed."""
    return revision_of(to_json(settings))


def check_settings(backend: Backend, name: str, settings: ModelSettings) -> None:
    """Refuse what `configure` refuses."""
    backend.catalog.model(name)
    for alias, version in settings.aliases.items():
        _check_alias(backend, name, alias, version)


def _check_alias(backend: Backend, name: str, alias: str, version: int) -> None:
    check_name("alias", alias)
    if alias == "latest":
        raise InvalidRequest("'latest' always means the newest version.", at="alias")
    backend.catalog.model(name, version)


def configure(
    backend: Backend, name: str, settings: ModelSettings, *, expected: str | None = None
) -> ModelSettings:
    """Make what is said of a model exactly this.

    Raises:
        NotFound: there is no such model or version.
        Outdated: something else is said than in the expected revision.
    """
    check_settings(backend, name, settings)

    def replaced(before: ModelSettings) -> ModelSettings:
        check_revision(f"Model {name!r}", _revision(before), expected)
        return settings

    return _revise(backend, name, replaced)


def find_alias(backend: Backend, name: str, alias: str) -> tuple[int, str]:
    """The version that an alias means, and the alias's revision.

    Raises:
        NotFound: there is no such alias.
    """
    version = backend.catalog.aliases(name).get(check_name("alias", alias))
    if version is None:
        known = ", ".join(sorted(backend.catalog.aliases(name))) or "none"
        raise NotFound(
            f"Model {name!r} has no alias {alias!r}. It has: {known}.",
            hint=f"Set it with: fitq models alias {name} {alias} VERSION",
        )
    return version, _alias_revision(version)


def _alias_revision(version: int | None) -> str:
    return ABSENT if version is None else revision_of(to_json(version))


def set_alias(
    backend: Backend, name: str, alias: str, version: int, *, expected: str | None = None
) -> dict[str, object]:
    """Point an alias at a version; scoring by that alias follows within a second.

    Raises:
        NotFound: there is no such model or version.
        Outdated: the alias means something else than in the expected revision.
    """
    _check_alias(backend, name, alias, version)

    def moved(aliases: dict[str, int]) -> dict[str, int]:
        return {**aliases, alias: version}

    _move(backend, name, alias, moved, expected)
    return {"name": name, "alias": alias, "version": version}


def remove_alias(backend: Backend, name: str, alias: str, *, expected: str | None = None) -> None:
    """Take an alias away, if it is there; its version stays.

    Raises:
        Outdated: the alias means something else than in the expected revision.
    """
    check_name("alias", alias)
    if alias not in backend.catalog.aliases(check_name("model", name)):
        check_revision(f"Alias {alias!r} of model {name!r}", ABSENT, expected)
        return

    def without(aliases: dict[str, int]) -> dict[str, int]:
        return {a: v for a, v in aliases.items() if a != alias}

    _move(backend, name, alias, without, expected)


def _move(
    backend: Backend,
    name: str,
    alias: str,
    change: Callable[[dict[str, int]], dict[str, int]],
    expected: str | None,
) -> None:
    def replaced(before: ModelSettings) -> ModelSettings:
        found = _alias_revision(before.aliases.get(alias))
        check_revision(f"Alias {alias!r} of model {name!r}", found, expected)
        return msgspec.structs.replace(before, aliases=change(before.aliases))

    _revise(backend, name, replaced)


def _revise(backend: Backend, name: str, update: Callable[[ModelSettings], ModelSettings]) -> ModelSettings:
    def replaced(data: bytes | None) -> bytes:
        about = ModelAbout() if data is None else from_kept_json(data, ModelAbout)
        return to_json(update(_settings(about)))

    key = backend.keys.model_about(name)
    about = from_kept_json(revise(backend.objects, key, replaced, what=f"Model {name!r}"), ModelAbout)
    backend.note_change(name)
    return _settings(about)
