"""The packages a run needs, described here and resolved by whoever executes the run."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fitq.errors import InvalidRequest
from fitq.records import EnvironmentRequest, NamedEnvironment
from fitq.sdk.conda import CondaDependencies
from fitq.sdk.environment_file import form_of_file, read_requirements, script_header

if TYPE_CHECKING:
    from fitq.sdk.run import Run
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
        self.strict = False  #: refuse a run where its Python is not at hand, instead of the nearest
        self.exclude_newer = ""  #: only packages published before this date, such as 2022-01-10
        self._form: dict[str, Any] | None = None  #: what a file said, in the platform's form
        self._known = False  #: the platform knows it by its name

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
        """From a requirements file; those that it includes with -r are read too.

        Raises:
            NotFound, InvalidRequest: no such file, or a line that is another option for pip.
        """
        environment = cls(name)
        packages = read_requirements(Path(file_path))
        environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages)
        return environment

    @classmethod
    def from_file(cls, file_path: str | os.PathLike[str], name: str | None = None) -> Environment:
        """From whatever file lists packages: conda's, requirements.txt, pyproject.toml, a script's header.

        Raises:
            NotFound, InvalidRequest: no such file, or none of these.
        """
        file = Path(file_path)
        environment = cls(name or file.stem)
        environment._form = form_of_file(file)
        return environment

    @classmethod
    def of_script(cls, script: Path) -> Environment | None:
        """The environment that a script lists in its own header (PEP 723); None without one."""
        header = script_header(script)
        if header is None:
            return None
        environment = cls(script.stem)
        environment._form = {"script": header}
        return environment

    @classmethod
    def get(cls, workspace: Workspace, name: str, version: str | int | None = None) -> Environment:
        """An environment that the platform knows by name: a curated one (AzureML-…), or a registered one.

        Raises:
            NotFound: there is none; with near matches.
        """
        environment = cls(name)
        environment.version = None if version is None else str(version)
        environment._known = True
        if not name.lower().startswith("azureml"):
            found = workspace.client.get_environment(name, version)
            environment.version = str(found.version)
            environment._form = found.spec
        return environment

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """Every environment that the platform knows by name."""
        return {e.name: Environment._of(e) for e in workspace.client.list_environments()}

    @classmethod
    def _of(cls, found: NamedEnvironment) -> Environment:
        environment = cls(found.name)
        environment.version, environment._known, environment._form = str(found.version), True, found.spec
        return environment

    def register(self, workspace: Workspace) -> Environment:
        """Keep it on the platform under its name, as a new version unless the newest says the same.

        It is built when a run needs it; `build` does so now.
        """
        found = workspace.client.build_environment(self._named(build=False))
        return Environment._of(found)

    def build(self, workspace: Workspace) -> Run:
        """Register it and have a worker build it; the run that does so, to wait for."""
        found = workspace.client.build_environment(self._named(build=True))
        assert found.build is not None  # it was just asked for
        return workspace.get_run(found.build.run)

    def _named(self, *, build: bool) -> EnvironmentRequest:
        request = self.to_request()
        given = {"name": request} if isinstance(request, str) else request or {}
        return msgspec.convert({**given, "name": self.name, "build": build}, EnvironmentRequest)

    def clone(self, new_name: str) -> Environment:
        """The same packages under a name of your own."""
        copy = Environment(new_name)
        dependencies = self.python.conda_dependencies
        copy.python.conda_dependencies = dependencies and CondaDependencies(
            _underlying_structure=dependencies.as_dict()
        )
        copy._form, copy.strict, copy.exclude_newer = self._form, self.strict, self.exclude_newer
        copy.environment_variables = dict(self.environment_variables)
        return copy

    def to_request(self) -> str | dict[str, Any] | None:
        """The `environment` of a run's request: a name, or a name with its specification."""
        if self._known:
            return self.name if self.version is None or self._form is None else f"{self.name}:{self.version}"
        how = {"strict": self.strict, "exclude_newer": self.exclude_newer}
        return {"name": self.name, **self._listed(), **{k: v for k, v in how.items() if v}}

    def _listed(self) -> dict[str, Any]:
        dependencies = self.python.conda_dependencies
        if self._form is not None or dependencies is None:
            return self._form or {}
        spec = dependencies.as_dict()
        asks_conda = dependencies.conda_packages or dependencies.python_version is not None
        if set(spec) == {"dependencies"} and not asks_conda:
            return {"pip": dependencies.pip_packages}
        return {"conda": spec}

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
