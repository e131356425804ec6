"""The Pythons on this machine, and the nearest to the one that was asked for.

Looked for in `FITQ_PYTHONS` (paths, separated as PATH is), this program's own, `python3.X` on PATH, pyenv's
folders, and what `uv` has installed. Each is asked what it is; one that does not answer is none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from fitq.environments.spec import EnvironmentSpec
from fitq.errors import EnvironmentFailed

_OLDEST = (3, 6)  #: what the programs inside a run work with
_MINORS = range(6, 30)
_SECONDS = 20
#: -I and -S: neither the folder we are in, nor PYTHONPATH, nor site-packages have a say.
_ASK = [
    "-I",
    "-S",
    "-c",
    "import json, sys, sysconfig; print(json.dumps({'path': sys.executable, "
    "'version': list(sys.version_info[:3]), 'final': sys.version_info[3] == 'final', "
    "'name': sys.implementation.name, "
    "'platform': sysconfig.get_platform()}))",
]


class Interpreter(msgspec.Struct, frozen=True):
    """One Python on this machine."""

    path: str
    version: tuple[int, int, int]
    name: str = "cpython"
    platform: str = ""
    final: bool = True

    @property
    def release(self) -> str:
        """`3.6.15`."""
        return ".".join(map(str, self.version))

    @property
    def minor(self) -> str:
        """`3.6`."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def tag(self) -> str:
        """What a list of packages is for: `cpython-3.6`."""
        return f"{self.name}-{self.minor}"


class Choice(NamedTuple):
    """An interpreter, and the sentence that says it is not what was asked for."""

    interpreter: Interpreter
    substitution: str = ""


def own_interpreter() -> Interpreter:
    """The Python that runs this program."""
    return Interpreter(sys.executable, sys.version_info[:3], platform=sysconfig.get_platform())


def find_interpreters(named: str = "", managed: Path | None = None) -> list[Interpreter]:
    """Every CPython from 3.6 on that answers, oldest first, one per version.

    Args:
        named: paths from settings; they win over others of the same version.
        managed: the folder in which `uv` installs interpreters.
    """
    paths = list(dict.fromkeys(_candidates(named, managed)))
    with ThreadPoolExecutor(8) as pool:
        answered = [found for found in pool.map(_ask, paths) if found is not None]
    first = {found.version: found for found in reversed(answered)}
    return [first[version] for version in sorted(first)]


def _candidates(named: str, managed: Path | None) -> Iterator[str]:
    yield from filter(None, named.split(os.pathsep))
    yield sys.executable
    for folder in filter(None, os.environ.get("PATH", os.defpath).split(os.pathsep)):
        for minor in _MINORS:
            path = Path(folder, f"python3.{minor}")
            if path.is_file():
                yield str(path)
    roots = [os.environ.get("PYENV_ROOT", ""), str(Path("~/.pyenv").expanduser())]
    for root in filter(None, roots):
        yield from map(str, sorted(Path(root, "versions").glob("*/bin/python")))
    if managed is not None:
        yield from map(str, sorted(managed.glob("*/bin/python3")))


def _ask(path: str) -> Interpreter | None:
    try:
        done = subprocess.run(
            [path, *_ASK], capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=True
        )
        found = msgspec.json.decode(done.stdout, type=Interpreter)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return None  # a shim of something that is not installed, a file that is no Python
    usable = found.version >= (*_OLDEST, 0) and found.final and found.name == "cpython"
    return found if usable and found.path else None


def choose(spec: EnvironmentSpec, find: Callable[[], list[Interpreter]]) -> Choice:
    """The interpreter for a spec: this program's own if it fits, else the newest that fits, else the nearest.

    Args:
        find: tells what else is there, oldest first; asked only if this program's own does not fit.

    Raises:
        EnvironmentFailed: none fits, and the spec is strict; or there is none at all.
    """
    own = own_interpreter()
    if not spec.python:
        note = f"No Python was asked for: this is the worker's own, {own.release}."
        return Choice(own, note if spec.requirements else "")
    if spec.allows(own.release):
        return Choice(own)
    found = find()
    fitting = [i for i in found if spec.allows(i.release)]
    if fitting:
        return Choice(fitting[-1])
    asked = shown(spec.python)
    here = f"Here are {', '.join(i.release for i in found)}."
    if spec.strict or not found:
        raise EnvironmentFailed(
            f"There is no Python {asked} on this worker, and strict allows no other. {here}",
            hint="Install it on the worker and name its path in FITQ_PYTHONS, or ask for one that is there.",
        )
    nearest = min(found, key=lambda i: _distance(i, anchor(spec.python)))
    return Choice(
        nearest, f"Python {asked} was asked for; this is {nearest.release}, the nearest on this worker."
    )


def anchor(specifier: str) -> tuple[int, int, int]:
    """The version that a specifier speaks of: `==3.6.2.*` → 3.6.2."""
    versions = [Version(s.version.removesuffix(".*")) for s in SpecifierSet(specifier)]
    first = max(versions, default=Version("3.11"))
    return (first.major, first.minor, first.micro)


def minor_of(spec: EnvironmentSpec) -> str:
    """The minor version that a spec speaks of: `3.6`."""
    return ".".join(map(str, anchor(spec.python)[:2]))


def shown(specifier: str) -> str:
    """As people write it: `==3.6.2.*` → `3.6.2`."""
    text = specifier.removeprefix("==").removesuffix(".*")
    return text if text and text[0].isdigit() and "," not in text else specifier


def _distance(interpreter: Interpreter, wanted: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Nearest minor version first, the newer of two; within it the nearest patch, the newer of two."""
    major, minor, patch = interpreter.version
    minors = abs((major - wanted[0]) * 100 + minor - wanted[1])
    return (minors, -minor, abs(patch - wanted[2]), -patch)
