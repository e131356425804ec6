"""A conda file's dependencies in pip's words. Packages come from PyPI; channels are not asked."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fitq.environments.conda_names import INCLUDED, NOT_ON_PYPI, RENAMED
from fitq.environments.requirement import Read, read_requirement
from fitq.errors import InvalidRequest

_SHAPE = "A conda file looks like: dependencies: [python=3.11, scikit-learn, {pip: [joblib]}]"
_MATCH = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9_][\w.-]*)\s*(.*)")
_CLAUSE = re.compile(r"(==|>=|<=|!=|~=|=|>|<|)\s*([\w.!+*-]+)")


class CondaRead(NamedTuple):
    """What a conda file came to."""

    requirements: list[Read]
    python: str  #: PEP 440 specifier; empty when the file names no Python


def read_conda(spec: Any, at: str) -> CondaRead:
    """The dependencies of a conda file, as decoded from YAML.

    Raises:
        InvalidRequest: it is not one, or names something that no wheel brings.
    """
    listed = spec.get("dependencies") if isinstance(spec, dict) else None
    if not isinstance(listed, list):
        raise InvalidRequest("The conda specification has no list of dependencies.", at=at, hint=_SHAPE)
    found: list[Read] = []
    python = ""
    for n, entry in enumerate(listed):
        here = f"{at}.dependencies[{n}]"
        if isinstance(entry, dict) and set(entry) == {"pip"} and isinstance(entry["pip"] or [], list):
            found += [
                read_requirement(str(r).strip(), f"{here}.pip[{m}]") for m, r in enumerate(entry["pip"] or [])
            ]
        elif isinstance(entry, str):
            name, versions = _split(entry, here)
            if name == "python":
                python = versions
            else:
                found.append(_package(name, versions, here))
        else:
            raise InvalidRequest(f"{entry!r} is not a dependency.", at=here, hint=_SHAPE)
    return CondaRead(found, python)


def _split(text: str, at: str) -> tuple[str, str]:
    """`numpy=1.19` → (`numpy`, `==1.19.*`)."""
    match = _MATCH.fullmatch(text.strip())
    if match is None or "[" in text or "|" in text:
        raise InvalidRequest(
            f"{text!r} is not a dependency that is understood here.",
            at=at,
            hint="Write it like numpy=1.26, numpy==1.26.4 or numpy>=1.26,<2.",
        )
    return match[1].lower(), ",".join(_specifiers(match[2], text, at))


def _specifiers(versions: str, text: str, at: str) -> list[str]:
    single = re.fullmatch(r"=\s*([^=,<>!~]+)=[^=,]+", versions) or re.fullmatch(r"([\w.]+)\s+\S+", versions)
    if single:  # a version and a build, as `conda env export` writes them; builds are conda's own
        return [f"=={single[1].strip()}"]
    return [_specifier(clause.strip(), text, at) for clause in versions.split(",") if clause.strip()]


def _specifier(clause: str, text: str, at: str) -> str:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise InvalidRequest(
            f"{text!r} has a version that is not understood: {clause!r}.",
            at=at,
            hint="Write it like numpy=1.26, numpy==1.26.4 or numpy>=1.26,<2.",
        )
    operator, version = match[1], match[2]
    if operator in ("=", "") and (operator or version.endswith("*")):  # conda: whatever starts like this
        return f"=={version.rstrip('*').rstrip('.')}.*"
    return f"{operator or '=='}{version}"


def _package(name: str, versions: str, at: str) -> Read:
    if name in NOT_ON_PYPI:
        raise InvalidRequest(
            f"{name} cannot be had: packages come from PyPI, and no wheel brings it.",
            at=at,
            hint=NOT_ON_PYPI[name],
        )
    if name in INCLUDED:
        return Read(note=f"{name} was left out: wheels and interpreters bring it.")
    read = read_requirement(f"{RENAMED.get(name, name)}{versions}", at)
    if name in RENAMED and RENAMED[name] != name and read.requirement:
        return Read(requirement=read.requirement, note=f"{name} is {RENAMED[name]} on PyPI.")
    return read
