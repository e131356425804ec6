"""The Python that a run executes in: the worker's own, or that of an environment."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from fitq.environments.builder import EnvironmentFolder
from fitq.records import Versions
from fitq.worker.versions import own_versions

_HERE = Path(__file__).parent
SHIMS = _HERE / "shims"
#: `import fitq` where it is not installed.
_FITQ = _HERE / "fitq_inside"
#: What a run sees of the worker's own environment: no address, no key, no token of the platform.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
_POOL_SIZES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


@dataclass(frozen=True)
class Runtime:
    """An interpreter with its packages."""

    folder: EnvironmentFolder | None = None  #: None: the worker's own
    threads: int | None = None  #: how large libraries make their thread pools; None: each one's own choice

    @property
    def python(self) -> str:
        """The interpreter's path."""
        return sys.executable if self.folder is None else str(self.folder.python)

    @property
    def versions(self) -> Versions:
        """What is really in it."""
        if self.folder is None:
            return own_versions()
        return Versions(python=self.folder.release, packages=self.folder.packages)

    @property
    def python_path(self) -> str:
        """What every run can import, whatever is installed."""
        return str(SHIMS) if self.folder is None else os.pathsep.join(map(str, (SHIMS, _FITQ)))

    @property
    def key(self) -> tuple[str, int | None]:
        """Two runs of one key find all libraries in the same state when they start."""
        return self.python, self.threads

    def granted(self, cpus: float | None) -> Runtime:
        """The same with thread pools as large as a grant of cores."""
        return replace(self, threads=None if cpus is None else max(1, round(cpus)))

    def held_too(self) -> Runtime:
        """The same for one more user, who has to `close` it."""
        return self if self.folder is None else replace(self, folder=self.folder.held_too())

    def close(self) -> None:
        """This user needs it no more. Twice is fine."""
        if self.folder is not None:
            self.folder.close()

    def variables(self) -> dict[str, str]:
        """The part of the environment that is the same for every run in it."""
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "MPLBACKEND": "Agg",
            "PYTHONPATH": self.python_path,
            **(dict.fromkeys(_POOL_SIZES, str(self.threads)) if self.threads else {}),
            **self._activated(),
        }

    def _activated(self) -> dict[str, str]:
        """What `activate` would have set, so that commands and child processes find the same Python."""
        programs = os.path.dirname(self.python)  # noqa: PTH120  # a link's own folder
        found = {"PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])}
        if self.folder is None:
            return found
        found["VIRTUAL_ENV"] = str(self.folder.path)
        if self.folder.release.startswith("3.6."):  # before PEP 538, Python took a bare C locale at its word
            found["PYTHONIOENCODING"] = "utf-8"
        return found


OWN = Runtime()
