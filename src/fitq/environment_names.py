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
from fitq.errors import InvalidRequest, NotFound
from fitq.logs import get_logger
from fitq.names import check_name, did_you_mean, version_number
from fitq.records import EnvironmentRecord, EnvironmentRequest, NamedEnvironment, from_json, now, to_json
from fitq.store.numbers import numbers_below

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
    if curated is not None or request.name == OWN_NAME or request.name.lower().startswith("azureml"):
        raise InvalidRequest(
            f"{request.name!r} is the name of an environment that is there already.",
            at="name",
            hint="Choose another name; azureml… and fitq-sklearn-… are curated.",
        )
    check_name("environment", request.name)
    if not given:
        return find(backend, request.name)
    spec = read_spec(given, at="$")
    digest = hashlib.sha256(msgspec.json.encode([given, spec])).hexdigest()
    while True:
        taken = versions(backend, request.name)
        newest = _read(backend, request.name, taken[-1]) if taken else None
        if newest is not None and newest.digest == digest:
            return newest
        named = NamedEnvironment(
            name=request.name,
            version=(taken[-1] if taken else 0) + 1,
            created_at=now(),
            description=request.description,
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

    Raises:
        NotFound: with near matches, or the versions there are.
    """
    name, _, of_name = name.partition(":")
    curated = find_curated(name)
    if curated is not None:
        return _of_curated(curated)
    known = versions(backend, check_name("environment", name))
    if not known:
        listed = [c.name for c in CURATED] + names(backend)
        raise NotFound(
            f"There is no environment {name!r}. {did_you_mean(name, listed)}".strip(),
            at="environment",
            hint="List them with: fitq environments list; or send a conda file or requirements.",
            environments=listed,
        )
    wanted = str(version or of_name or known[-1])
    number = version_number(wanted)
    found = _read(backend, name, number) if number is not None else None
    if found is None:
        raise NotFound(
            f"Environment {name!r} has no version {wanted}. Versions: {', '.join(map(str, known))}.",
            versions=known,
        )
    return found


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
    return backend.objects.list_folders(backend.keys.environment_names())


def versions(backend: Backend, name: str) -> list[int]:
    """Version numbers, oldest first; empty if nobody registered that name."""
    return numbers_below(backend.objects, backend.keys.environment_versions(name))


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
    return None if data is None else from_json(data, NamedEnvironment)
