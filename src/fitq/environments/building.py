"""The steps of one build: exact packages from a spec, a virtual environment, the packages in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from fitq.environments.interpreters import Interpreter
from fitq.environments.kept import KeptEnvironment
from fitq.environments.spec import EnvironmentSpec
from fitq.environments.tool import Tool, ToolFailed
from fitq.environments.trouble import explain, packages_not_had
from fitq.records import now

_PROBE_SECONDS = 20.0


@dataclass(frozen=True)
class Watcher:
    """Who waits for an environment."""

    say: Callable[[str], None] = lambda _: None  #: told each step, a line at a time
    interrupted: Callable[[], bool] = lambda: False  #: asked several times a second; true ends the build


@dataclass(frozen=True)
class Building:
    """One attempt to build one environment."""

    tool: Tool
    interpreter: Interpreter
    spec: EnvironmentSpec
    watcher: Watcher
    lines: list[str] = field(default_factory=list)  #: everything that was said

    def say(self, line: str) -> None:
        """Tell the watcher, and remember it for the build's log."""
        self.lines.append(line)
        self.watcher.say(line)

    def resolve(self, folder: Path) -> str:
        """Every package with its exact version and the hashes of its files, as a requirements file.

        Raises:
            EnvironmentFailed, EnvironmentPostponed, DiskFull, Interrupted.
        """
        if not self.spec.requirements:
            return ""
        self.say(f"resolving {', '.join(self.spec.requirements)}")
        asked, locked = folder / "requirements.in", folder / "requirements.txt"
        asked.write_text("".join(f"{r}\n" for r in self.spec.requirements))
        try:
            self._uv("pip", "compile", *self._source, "--generate-hashes", "-o", str(locked), str(asked))
        except ToolFailed as failed:
            raise explain(failed, self.interpreter.release, self._wheels_of(failed, folder)) from failed
        return locked.read_text()

    @property
    def _source(self) -> list[str]:
        # No package is built from source: that runs its author's code, here and with this program's rights.
        date = ["--exclude-newer", self.spec.exclude_newer] if self.spec.exclude_newer else []
        looks = ["--only-binary", ":all:", "--no-header", "--no-annotate", *date]
        return ["--python", self.interpreter.path, *looks]

    def install(self, place: Path, locked: str) -> None:
        """Make a virtual environment with exactly these packages.

        Raises:
            EnvironmentFailed, EnvironmentPostponed, DiskFull, Interrupted.
        """
        how = ["--relocatable", "--no-project", "--no-python-downloads", "--quiet"]
        self._told("venv", *how, "--python", self.interpreter.path, str(place))
        self.sync(place, locked)

    def sync(self, place: Path, locked: str) -> None:
        """Have exactly these packages in it."""
        wanted = place / "requirements.txt"
        wanted.write_text(locked)
        if locked:
            how = ["--require-hashes", "--only-binary", ":all:", "--link-mode", "hardlink"]
            self._told("pip", "sync", "--python", str(place / "bin" / "python"), *how, str(wanted))
            _protect(place)

    def facts(self, hash: str, place: Path, locked: str) -> KeptEnvironment:
        """What was built."""
        return KeptEnvironment(
            hash=hash,
            created_at=now(),
            python=self.interpreter.release,
            tag=self.interpreter.tag,
            platform=self.interpreter.platform,
            requirements=self.spec.requirements,
            exclude_newer=self.spec.exclude_newer,
            packages=packages_in(place),
            locked=locked,
        )

    def _told(self, *arguments: str) -> None:
        try:
            self._uv(*arguments, say=self.say)
        except ToolFailed as failed:
            raise explain(failed, self.interpreter.release, {}) from failed

    def _uv(self, *arguments: str, say: Callable[[str], None] = lambda _: None) -> None:
        self.tool.run(*arguments, say=say, interrupted=self.watcher.interrupted)

    def _wheels_of(self, failed: ToolFailed, folder: Path) -> dict[str, str]:
        """For packages that were not found as asked for: which versions this Python can have."""
        return {name: self._wheels(name, folder) for name in packages_not_had(failed)[:3]}

    def _wheels(self, name: str, folder: Path) -> str:
        oldest = self._version(name, folder, "lowest")
        newest = self._version(name, folder, "highest") if oldest else ""
        if not oldest:
            return f"No version of {name} has one."
        versions = f"{oldest} to {newest}" if oldest != newest else oldest
        return f"Python {self.interpreter.minor} can have {versions}."

    def _version(self, name: str, folder: Path, which: str) -> str:
        asked, found = folder / "probe.in", folder / "probe.txt"
        asked.write_text(name)
        found.unlink(missing_ok=True)  # uv would prefer what it holds
        try:
            self.tool.run(
                *("pip", "compile", *self._source, "--no-deps", "--resolution", which),
                *("-o", str(found), str(asked)),
                interrupted=self.watcher.interrupted,
                seconds=_PROBE_SECONDS,
            )
        except ToolFailed:
            return ""
        match = re.search(r"(?m)^[\w.-]+==([^ \n]+)", found.read_text())
        return match[1] if match else ""


def _protect(place: Path) -> None:
    """Nobody writes into a package's files by mistake: they are those of every other environment too."""
    for folder, _, names in os.walk(place / "lib"):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118  thousands of them
            os.chmod(path, os.stat(path).st_mode & ~0o222)  # noqa: PTH101, PTH116


def packages_in(place: Path) -> dict[str, str]:
    """Name → version of what is installed in a virtual environment, read from its files."""
    folders = [str(folder) for folder in place.glob("lib/python3.*/site-packages")]
    found = {canonicalize_name(d.metadata["Name"]): d.version for d in metadata.distributions(path=folders)}
    return dict(sorted(found.items()))
