"""What really runs: this interpreter and the packages installed in it."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

from fitq.records import EnvironmentRecord, Versions

#: Said first when a run did not get what it asked for.
_TELLING = ("scikit-learn", "numpy", "scipy", "joblib", "pandas")


@functools.cache
def own_versions() -> Versions:
    """Versions of the worker's own interpreter, in which runs execute."""
    packages = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return Versions(python=platform.python_version(), packages=dict(sorted(packages.items())))


def substitution(asked: EnvironmentRecord) -> str:
    """The warning that a run did not get the environment it asked for; empty if it asked for none."""
    if asked.name == "worker" and asked.spec is None:
        return ""
    mine = own_versions()
    packages = ", ".join(f"{n} {mine.packages[n]}" for n in _TELLING if n in mine.packages)
    wanted = f" ({', '.join(_wanted(asked.spec))})" if asked.spec and _wanted(asked.spec) else ""
    return (
        f"Environment {asked.name!r}{wanted} was not built: this run used the worker's own interpreter "
        f"instead, Python {mine.python} with {packages}."
    )


def _wanted(spec: dict[str, object]) -> list[str]:
    """The requirements in a conda or pip specification, flat."""
    conda = spec.get("conda")
    listed = conda.get("dependencies", []) if isinstance(conda, dict) else spec.get("pip", [])
    flat: list[str] = []
    for item in listed if isinstance(listed, list) else []:
        flat += map(str, item.get("pip", [])) if isinstance(item, dict) else [str(item)]
    return flat[:20]
