"""The list of packages an environment asks for, in conda's words."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fitq.errors import InvalidRequest, NotFound

_PYTHON = re.compile(r"python\s*([=<>!~].*)?$")


class CondaDependencies:
    """Packages from conda and from pip, and the Python they want."""

    def __init__(
        self,
        conda_dependencies_file_path: str | os.PathLike[str] | None = None,
        _underlying_structure: dict[str, Any] | None = None,
    ) -> None:
        """From a conda YAML file, or empty.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: it is not a conda specification.
        """
        if conda_dependencies_file_path is not None:
            self._spec = _read(Path(conda_dependencies_file_path))
        else:
            self._spec = copy.deepcopy(_underlying_structure or {"dependencies": []})

    @classmethod
    def create(
        cls,
        pip_indexurl: str | None = None,
        pip_packages: Sequence[str] | None = None,
        conda_packages: Sequence[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """From lists of requirements such as `scikit-learn==1.5`."""
        if pip_indexurl:
            raise InvalidRequest(
                "A package index of its own is not supported: it would travel with every run.",
                hint="Configure the index on the workers (PIP_INDEX_URL, UV_INDEX_URL).",
            )
        found = cls()
        if python_version:
            found.set_python_version(python_version)
        for package in conda_packages or []:
            found.add_conda_package(package)
        for package in pip_packages or []:
            found.add_pip_package(package)
        return found

    @property
    def conda_packages(self) -> list[str]:
        """Requirements from conda, without Python itself."""
        return [d for d in self._spec["dependencies"] if isinstance(d, str) and not _PYTHON.match(d)]

    @property
    def pip_packages(self) -> list[str]:
        """Requirements from pip."""
        return [r for d in self._spec["dependencies"] if isinstance(d, dict) for r in d.get("pip") or []]

    @property
    def python_version(self) -> str | None:
        """`3.6.2`, or None if any Python will do."""
        for dependency in self._spec["dependencies"]:
            match = _PYTHON.match(dependency) if isinstance(dependency, str) else None
            if match and match[1]:
                return match[1].lstrip("=<>!~ ")
        return None

    def set_python_version(self, version: str) -> None:
        """Ask for this Python."""
        others = [d for d in self._spec["dependencies"] if not (isinstance(d, str) and _PYTHON.match(d))]
        self._spec["dependencies"] = [f"python={version}", *others]

    def add_conda_package(self, conda_package: str) -> None:
        """Ask for one more package from conda."""
        if conda_package not in self._spec["dependencies"]:
            position = len(self.conda_packages) + (self.python_version is not None)
            self._spec["dependencies"].insert(position, conda_package)

    def add_pip_package(self, pip_package: str) -> None:
        """Ask for one more package from pip."""
        for dependency in self._spec["dependencies"]:
            if isinstance(dependency, dict):
                listed = dependency.setdefault("pip", [])
                if pip_package not in listed:
                    listed.append(pip_package)
                return
        self._spec["dependencies"].append({"pip": [pip_package]})

    def add_channel(self, channel: str) -> None:
        """Ask for a conda channel."""
        self._spec.setdefault("channels", []).append(channel)

    def as_dict(self) -> dict[str, Any]:
        """The specification as conda's YAML file would hold it."""
        return copy.deepcopy(self._spec)

    def serialize_to_string(self) -> str:
        """The specification as YAML."""
        return yaml.safe_dump(self._spec, sort_keys=False)

    def save_to_file(self, base_directory: str, conda_file_path: str = "conda_dependencies.yml") -> str:
        """Write the specification; the path it was written to."""
        target = Path(base_directory) / conda_file_path
        target.write_text(self.serialize_to_string(), encoding="utf-8")
        return str(target)


def _read(file: Path) -> dict[str, Any]:
    shape = "A conda file looks like: dependencies: [python=3.11, scikit-learn, {pip: [joblib]}]"
    try:
        spec = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise NotFound(
            f"There is no file {str(file)!r}.", hint="Give the path of a conda YAML file."
        ) from exc
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise InvalidRequest(f"{file} is not YAML: {exc}.", hint=shape) from exc
    if not isinstance(spec, dict) or not isinstance(spec.get("dependencies"), list):
        raise InvalidRequest(f"{file} has no list of dependencies.", hint=shape)
    for entry in spec["dependencies"]:
        if not _is_dependency(entry):
            raise InvalidRequest(f"{file} has a dependency that is not text: {entry!r}.", hint=shape)
    return spec


def _is_dependency(entry: object) -> bool:
    if isinstance(entry, str):
        return True
    if not isinstance(entry, dict):
        return False
    pip = entry.get("pip")
    return set(entry) == {"pip"} and isinstance(pip, list) and all(isinstance(r, str) for r in pip)
