"""What uv could not do, in words that say whose turn it is."""

from __future__ import annotations

import re

from fitq.environments.known import KNOWN
from fitq.environments.tool import ToolFailed
from fitq.errors import EnvironmentFailed, EnvironmentPostponed, FitqError
from fitq.names import did_you_mean

_NETWORK = re.compile(
    r"error sending request|failed to fetch|client error|connection (refused|reset)|dns error|timed out|"
    r"tcp connect|HTTP status server error|429 Too Many|5\d\d (Internal|Bad|Service|Gateway)",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"Because ([\w.-]+)(?:\[[^]]*\])? was not found in the package registry")
_NO_VERSION = re.compile(r"there (?:is no version|are no versions) of ([\w.-]+)((?:[=<>!~][^ ]*)?)")
_NO_WHEEL = re.compile(
    r"(?:Because |and |all versions of )([\w.-]+)((?:==[^ ]+)?) (?:has|have) no (?:usable )?wheels"
)
_DISK = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_LINES = 12


class DiskFull(Exception):
    """There is no room for the environment on this machine."""


def packages_not_had(failed: ToolFailed) -> list[str]:
    """Names of packages that exist, but of which this Python cannot have what was asked for."""
    text = _text(failed)
    return list(dict.fromkeys(m[1] for what in (_NO_WHEEL, _NO_VERSION) for m in what.finditer(text)))


def explain(failed: ToolFailed, python: str, wheels: dict[str, str]) -> FitqError:
    """The error to raise for what uv said.

    Args:
        python: the version it resolved for, `3.11.7`.
        wheels: package → sentence about the versions that this Python can have.

    Raises:
        DiskFull: it is the machine that is in the way.
    """
    text, lines = _text(failed), _decisive(failed.lines)
    if _DISK.search(text):
        raise DiskFull(text)
    if match := _UNKNOWN.search(text):
        near = did_you_mean(match[1], KNOWN)
        message = f"There is no package {match[1]!r} in the package index. {near}".strip()
        return EnvironmentFailed(message, hint="Is it misspelt, or called otherwise on PyPI?", lines=lines)
    if _NETWORK.search(text):
        return EnvironmentPostponed(
            f"The package index does not answer: {_first(lines)}", hint="Is the network there?", lines=lines
        )
    if match := _NO_WHEEL.search(text):
        package, version = match[1], match[2].removeprefix("==")
        message = (
            f"{package} {version}".strip() + f" has no wheel for Python {python}. {wheels.get(package, '')}"
        )
        hint = "Ask for a version that has one, or for another Python; nothing is compiled from source here."
        return EnvironmentFailed(message.strip(), hint=hint, lines=lines)
    if match := _NO_VERSION.search(text):
        message = f"There is no {match[1]}{match[2] or ' as asked for'}. {wheels.get(match[1], '')}".strip()
        late = "It was published after the date in exclude_newer." if "exclude-newer" in text else ""
        return EnvironmentFailed(message, hint=late or "Ask for a version that exists.", lines=lines)
    return EnvironmentFailed(
        f"The packages could not be installed: {_first(lines)}",
        hint="The lines above name what contradicts what; loosen or change one of the versions.",
        lines=lines,
    )


def _text(failed: ToolFailed) -> str:
    return " ".join(" ".join(failed.lines).split())


def _decisive(lines: list[str]) -> list[str]:
    """From the first error on; warnings and progress are not decisive."""
    start = next((n for n, line in enumerate(lines) if line.startswith("error")), max(0, len(lines) - _LINES))
    return [line for line in lines[start:] if line.strip()][:_LINES]


def _first(lines: list[str]) -> str:
    cause = next(
        (line for line in lines if "cause:" in line or "Because" in line), lines[0] if lines else "no reason"
    )
    return cause.replace("cause:", "").strip()
