"""The packages a run needs, described here and resolved by whoever executes the run."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitq.errors import InvalidRequest, NotFound
from fitq.sdk.conda import CondaDependencies

if TYPE_CHECKING:
    from fitq.sdk.workspace import Workspace


class PythonSection:
    """`environment.python`."""

    def __init__(self) -> None:
        self.conda_dependencies: CondaDependencies | None = None
        self.user_managed_dependencies = False
        self.interpreter_path = "python"


class DockerSection:
    """`environment.docker`. Accepted and not used: runs are isolated processes, not containers."""

    def __init__(self) -> None:
        self.enabled = False
        self.base_image: str | None = None
        self.base_dockerfile: str | None = None
        self.shm_size: str | None = None
        self.arguments: list[str] = []


class Environment:
    """A named list of Python packages.

    Example:
        >>> env = Environment.from_conda_specification("myenv", "sklearn-env.yml")
        >>> env = Environment.get(ws, "AzureML-Tutorial")

    What a run really got is recorded on the run: `run.record.environment` and `run.record.versions`.
    """

    def __init__(self, name: str, **_: object) -> None:
        if not isinstance(name, str) or not name.strip():
            raise InvalidRequest("An environment needs a name.")
        self.name = name
        self.version: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.environment_variables: dict[str, str] = {}
        self._curated = False

    @classmethod
    def from_conda_specification(cls, name: str, file_path: str | os.PathLike[str]) -> Environment:
        """From a conda YAML file.

        Raises:
            NotFound, InvalidRequest: no such file, or not a conda specification.
        """
        environment = cls(name)
        environment.python.conda_dependencies = CondaDependencies(file_path)
        if environment.python.conda_dependencies.python_version is None:
            warnings.warn(
                f"{file_path} names no python version; the worker's own will be used.", stacklevel=2
            )
        return environment

    @classmethod
    def from_pip_requirements(cls, name: str, file_path: str | os.PathLike[str]) -> Environment:
        """From a requirements file.

        Raises:
            NotFound, InvalidRequest: no such file, or a line that is an option for pip.
        """
        environment = cls(name)
        packages = _requirements(Path(file_path))
        environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages)
        return environment

    @classmethod
    def get(cls, workspace: Workspace, name: str, version: str | None = None) -> Environment:
        """A curated environment, by a name that starts with AzureML.

        Raises:
            NotFound: any other name: environments are not kept on the platform yet.
        """
        if not name.lower().startswith("azureml"):
            raise NotFound(
                f"There is no environment {name!r}: only curated names (AzureML-…) are known by name so far.",
                hint="Make it from its file: Environment.from_conda_specification or from_pip_requirements.",
            )
        environment = cls(name)
        environment.version = version
        environment._curated = True
        return environment

    def clone(self, new_name: str) -> Environment:
        """The same packages under a name of your own."""
        copy = Environment(new_name)
        dependencies = self.python.conda_dependencies
        copy.python.conda_dependencies = dependencies and CondaDependencies(
            _underlying_structure=dependencies.as_dict()
        )
        copy.environment_variables = dict(self.environment_variables)
        return copy

    def register(self, workspace: Workspace) -> Environment:
        """Not kept on the platform yet: warns, and stays usable as it is; each run carries its own copy."""
        warnings.warn(
            f"Environment {self.name!r} is not kept on the platform: that is not there yet. "
            "Every run that uses this object carries its specification.",
            stacklevel=2,
        )
        return self

    def to_request(self) -> str | dict[str, Any] | None:
        """The `environment` of a run's request: a name, or a name with its specification."""
        if self._curated:
            return self.name
        dependencies = self.python.conda_dependencies
        if dependencies is None:
            return {"name": self.name}
        spec = dependencies.as_dict()
        if set(spec) == {"dependencies"} and not dependencies.conda_packages:
            return {"name": self.name, "pip": dependencies.pip_packages}
        return {"name": self.name, "conda": spec}

    def __repr__(self) -> str:
        return f"Environment({self.name!r})"


def environment_request(environment: Environment | str | None) -> str | dict[str, Any] | None:
    """What a run's request says of an environment given as object, name, or not at all."""
    if environment is None or isinstance(environment, str):
        return environment
    if isinstance(environment, Environment):
        return environment.to_request()
    raise InvalidRequest(
        f"environment is a {type(environment).__name__}.", hint="Give an Environment or a name."
    )


def _requirements(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise NotFound(f"There is no file {str(file)!r}.", hint="Give a requirements file.") from exc
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    for line in wanted:
        if line.startswith("-"):
            raise InvalidRequest(
                f"{file} has an option for pip ({line.split()[0]}), which a run cannot carry.",
                hint="List requirements only, one a line, such as scikit-learn==1.5.2.",
            )
    return wanted
