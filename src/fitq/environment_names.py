"""Rules of environments with a name: curated ones, and those that somebody registered, version by version.

A name stands for a specification. What it came to, exact packages under a hash, is known once it was built.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from fitq.backend import Backend
from fitq.environments.curated import CURATED, Curated, find_curated
from fitq.environments.reading import read_spec
from fitq.environments.spec import EnvironmentSpec
from fitq.errors import InvalidRequest, NotFound
from fitq.logs import get_logger
from fitq.names import check_name, did_you_mean, version_number
from fitq.records import (
    EnvironmentRecord,
    EnvironmentRequest,
    EnvironmentSettings,
    NamedEnvironment,
    from_kept_json,
    now,
    to_json,
)
from fitq.revisions import ABSENT, check_revision
from fitq.store.numbers import Numbers, names_below, numbers_below

log = get_logger(__name__)
OWN_NAME = EnvironmentRecord().name  #: the worker's own interpreter
_FORMS = ("conda", "pip", "pyproject", "script", "python", "strict", "exclude_newer")


def register(backend: Backend, request: EnvironmentRequest) -> NamedEnvironment:
    """Make a specification the next version of a name; its newest version if that says the same already.

    Raises:
        InvalidRequest: the specification is wrong, or the name is taken for good.
    """
    given = {key: value for key in _FORMS if (value := getattr(request, key))}
    curated = find_curated(request.name)
    if curated is not None and not given:
        return _of_curated(curated)
    check_free(request.name)
    if not given:
        return find(backend, request.name)
    spec = read_spec(given, at="$")
    return _add(backend, request.name, given, spec, description=request.description)


def check_free(name: str) -> None:
    """Refuse the name of an environment that nobody registers."""
    if find_curated(name) is not None or name == OWN_NAME or name.lower().startswith("azureml"):
        raise InvalidRequest(
            f"{name!r} is the name of an environment that is there already.",
            at="name",
            hint="Choose another name; azureml… and fitq-sklearn-… are curated.",
        )
    check_name("environment", name)


def configure(
    backend: Backend, name: str, settings: EnvironmentSettings, *, expected: str | None = None
) -> NamedEnvironment:
    """Make a specification the newest version of a name, unless it is.

    Raises:
        InvalidRequest: it is wrong or says nothing, or the name is taken for good.
        Outdated: the newest version is another than the expected one.
    """
    check_free(name)
    spec = read_spec(settings.spec, at="spec")
    given = {key: value for key in _FORMS if (value := settings.spec.get(key))}
    if not given:
        raise InvalidRequest(
            "An environment needs packages.", at="spec", hint="Write one of conda, pip, pyproject, script."
        )
    return _add(backend, name, given, spec, expected=expected)


def _add(
    backend: Backend,
    name: str,
    given: dict[str, Any],
    spec: EnvironmentSpec,
    *,
    description: str = "",
    expected: str | None = None,
) -> NamedEnvironment:
    """`spec` is what `given` comes to."""
    digest = hashlib.sha256(msgspec.json.encode([given, spec])).hexdigest()
    while True:
        taken = numbers(backend, name)
        newest = _read(backend, name, taken.newest) if taken.newest else None
        check_revision(f"Environment {name!r}", newest.id if newest else ABSENT, expected)
        if newest is not None and newest.digest == digest:
            return newest
        named = NamedEnvironment(
            name=name,
            version=taken.following,
            created_at=now(),
            description=description,
            spec=given,
            requirements=spec.requirements,
            python=spec.python,
            digest=digest,
        )
        if backend.objects.put_if_absent(
            backend.keys.environment_version(named.name, named.version), to_json(named)
        ):
            log.info("environment_registered", environment=named.id)
            return named


def find(backend: Backend, name: str, version: str | int | None = None) -> NamedEnvironment:
    """An environment by `name`, or by `name:version`; the newest version when none is given.
    By its number also one that was withdrawn.

    Raises:
        NotFound: with near matches, or the versions there are.
    """
    name, _, of_name = name.partition(":")
    curated = find_curated(name)
    if curated is not None:
        return _of_curated(curated)
    known = numbers(backend, name)
    wanted = str(version or of_name or known.newest or "")
    number = version_number(wanted)
    found = _read(backend, name, number) if number is not None else None
    if found is None:
        raise _unknown(backend, name, known, wanted)
    return found


def _unknown(backend: Backend, name: str, known: Numbers, wanted: str) -> NotFound:
    if known.listed:
        listed = ", ".join(map(str, known.listed))
        return NotFound(
            f"Environment {name!r} has no version {wanted}. Versions: {listed}.", versions=known.listed
        )
    others = [c.name for c in CURATED] + names(backend)
    happened = f"Environment {name!r} was withdrawn." if known.given else f"There is no environment {name!r}."
    return NotFound(
        f"{happened} {did_you_mean(name, others)}".strip(),
        at="environment",
        hint="List them with: fitq environments list; or send a conda file or requirements.",
        environments=others,
    )


def withdraw(backend: Backend, name: str, *, expected: str | None = None) -> None:
    """Take a name out of all lists, if it is there. What names a version by its number still finds it.

    Raises:
        InvalidRequest: it is a curated one.
        Outdated: its newest version is another than the expected one.
    """
    if find_curated(name) is not None:
        raise InvalidRequest(f"Environment {name!r} is curated: it is there for ever.", at="name")
    newest = numbers(backend, name).newest
    check_revision(f"Environment {name!r}", f"{name}:{newest}" if newest else ABSENT, expected)
    if newest is not None:
        backend.objects.put(backend.keys.environment_withdrawn(name, newest), b"")
        log.info("environment_withdrawn", environment=f"{name}:{newest}")


def spec_of(backend: Backend, name: str) -> dict[str, Any]:
    """What a name stands for, in the form in which a specification is sent.

    Raises:
        NotFound: as `find`.
    """
    found = find(backend, name)
    curated = find_curated(found.name)
    if curated is None:
        return found.spec or {}
    spec = curated.spec
    listed = {"pip": spec.requirements, "python": spec.python, "strict": spec.strict}
    return {**listed, "exclude_newer": spec.exclude_newer}


def list_all(backend: Backend) -> list[NamedEnvironment]:
    """Every curated environment, then the newest version of every registered one."""
    return [*map(_of_curated, CURATED), *(find(backend, name) for name in names(backend))]


def names(backend: Backend) -> list[str]:
    """Names that somebody registered."""
    return names_below(backend.objects, backend.keys.environment_names())


def versions(backend: Backend, name: str) -> list[int]:
    """Version numbers, oldest first; empty if nobody registered that name."""
    return numbers(backend, name).listed


def numbers(backend: Backend, name: str) -> Numbers:
    """The same, with those that were withdrawn."""
    prefix = backend.keys.environment_versions(check_name("environment", name))
    return numbers_below(backend.objects, prefix)


def asked_for(backend: Backend, asked: str | dict[str, Any] | None) -> EnvironmentRecord:
    """What a run's request says of its environment, checked.

    Raises:
        InvalidRequest, NotFound: a specification that is wrong, a name that nobody knows.
    """
    if asked is None or asked == OWN_NAME:
        return EnvironmentRecord()
    if isinstance(asked, str):
        named = find(backend, asked)
        return EnvironmentRecord(name=asked if named.is_curated else named.id, spec=named.spec)
    spec = {key: value for key, value in asked.items() if key != "name"}
    read_spec(spec)
    return EnvironmentRecord(name=str(asked.get("name") or "unnamed")[:200], spec=spec)


def foreseen(backend: Backend, name: str, given: dict[str, Any]) -> EnvironmentRecord:
    """What a name will stand for once this specification is its newest version."""
    taken = numbers(backend, name)
    newest = _read(backend, name, taken.newest) if taken.newest else None
    is_there = newest is not None and newest.spec == given
    return EnvironmentRecord(name=f"{name}:{taken.newest if is_there else taken.following}", spec=given)


def _of_curated(curated: Curated) -> NamedEnvironment:
    return NamedEnvironment(
        name=curated.name,
        version=1,
        description=curated.description,
        requirements=curated.spec.requirements,
        python=curated.python,
        is_curated=True,
    )


def _read(backend: Backend, name: str, version: int) -> NamedEnvironment | None:
    data = backend.objects.get(backend.keys.environment_version(name, version))
    return None if data is None else from_kept_json(data, NamedEnvironment)
