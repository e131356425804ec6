"""An environment in any of the forms it is sent in, as one EnvironmentSpec.

    {"conda": {…}}            a conda file, decoded
    {"pip": ["numpy==1.26"]}  the lines of a requirements file
    {"pyproject": "…"}        the text of a pyproject.toml: its [project] dependencies
    {"script": "…"}           the text of a script with a PEP 723 header

each with, if wanted, `name`, `python` ("3.9" or ">=3.9"), `strict` and `exclude_newer` ("2022-01-10").
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from fitq.environments.conda import read_conda
from fitq.environments.requirement import Read, read_requirement
from fitq.environments.spec import EnvironmentSpec
from fitq.errors import InvalidRequest
from fitq.names import did_you_mean
from fitq.script_header import header_of

_MORE = ("name", "python", "strict", "exclude_newer")
_MOST_REQUIREMENTS = 500


class _Form(NamedTuple):
    requirements: list[Read]
    python: str = ""
    exclude_newer: str = ""


def read_spec(given: dict[str, Any], at: str = "environment") -> EnvironmentSpec:
    """What was sent as `environment`, understood.

    Raises:
        InvalidRequest: with `at`, the place in it that is wrong.
    """
    form = _read_form(given, at)
    if len(form.requirements) > _MOST_REQUIREMENTS:
        raise InvalidRequest(f"An environment has at most {_MOST_REQUIREMENTS} requirements.", at=at)
    if form.python and given.get("python"):
        raise InvalidRequest("Two places name a Python.", at=f"{at}.python", hint="Name it in one.")
    return EnvironmentSpec(
        requirements=sorted({r.requirement for r in form.requirements if r.requirement}),
        python=form.python or _python(given.get("python") or "", f"{at}.python"),
        strict=_flag(given.get("strict", False), f"{at}.strict"),
        exclude_newer=_moment(given.get("exclude_newer") or form.exclude_newer, f"{at}.exclude_newer"),
        notes=list(dict.fromkeys(r.note for r in form.requirements if r.note)),
    )


def _read_form(given: dict[str, Any], at: str) -> _Form:
    for key in given:
        if key not in (*_FORMS, *_MORE):
            raise InvalidRequest(
                f"An environment has no {key!r}. {did_you_mean(key, (*_FORMS, *_MORE))}".strip(),
                at=f"{at}.{key}",
                hint=f"It takes one of {', '.join(_FORMS)}, and {', '.join(_MORE)}.",
            )
    forms = [form for form in _FORMS if form in given]
    if len(forms) > 1:
        raise InvalidRequest(f"An environment has one of {', '.join(_FORMS)}; this has {forms}.", at=at)
    return _FORMS[forms[0]](given[forms[0]], f"{at}.{forms[0]}") if forms else _Form([])


def _conda(value: Any, at: str) -> _Form:
    read = read_conda(value, at)
    return _Form(read.requirements, _python(read.python, at) if read.python else "")


def _pip(value: Any, at: str) -> _Form:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise InvalidRequest("pip is a list of requirements.", at=at, hint='Send ["scikit-learn==1.5.2"].')
    return _Form([read_requirement(line.strip(), f"{at}[{n}]") for n, line in enumerate(value)])


def _pyproject(value: Any, at: str) -> _Form:
    document = _toml(value, at)
    project = document.get("project")
    if not isinstance(project, dict) or "dependencies" in project.get("dynamic", []):
        raise InvalidRequest(
            "This pyproject.toml has no dependencies in its [project] table.",
            at=at,
            hint='Write [project] with dependencies = ["scikit-learn==1.5.2"], or send a requirements file.',
        )
    return _listed(project, document, at)


def _script(value: Any, at: str) -> _Form:
    if not isinstance(value, str) or (header := header_of(value)) is None:
        raise InvalidRequest(
            "The script has no header that lists its packages.",
            at=at,
            hint='Start it with: # /// script / # dependencies = ["scikit-learn"] / # ///',
        )
    document = _toml(header, at)
    return _listed(document, document, at)


def _listed(table: dict[str, Any], document: dict[str, Any], at: str) -> _Form:
    tool = document.get("tool", {})
    uv = tool.get("uv", {}) if isinstance(tool, dict) else {}
    python = table.get("requires-python", "")
    return _Form(
        _pip(table.get("dependencies", []), f"{at}.dependencies").requirements,
        _python(python, f"{at}.requires-python") if python else "",
        str(uv.get("exclude-newer", "")) if isinstance(uv, dict) else "",
    )


def _toml(value: Any, at: str) -> dict[str, Any]:
    try:
        return tomllib.loads(value)
    except (tomllib.TOMLDecodeError, TypeError, RecursionError) as exc:
        raise InvalidRequest(f"It is not TOML: {exc}.", at=at) from exc


_FORMS: dict[str, Callable[[Any, str], _Form]] = {
    "conda": _conda,
    "pip": _pip,
    "pyproject": _pyproject,
    "script": _script,
}


def _python(value: Any, at: str) -> str:
    """A specifier, canonical; a bare version means whatever starts like it."""
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)*", text):
        text = f"=={text}.*"
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier as exc:
        raise InvalidRequest(
            f"{value!r} is not a version of Python.", at=at, hint="Write it like 3.9, 3.9.18 or >=3.9,<3.12."
        ) from exc


def _flag(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest("strict is true or false.", at=at, got=value)
    return value


def _moment(value: Any, at: str) -> str:
    if not value:
        return ""
    try:
        datetime.fromisoformat(str(value))
    except ValueError as exc:
        raise InvalidRequest(f"{value!r} is not a date.", at=at, hint="Write it like 2022-01-10.") from exc
    return str(value)
