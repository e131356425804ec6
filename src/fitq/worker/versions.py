"""What really runs: this interpreter and the packages installed in it."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

from fitq.records import Versions


@functools.cache
def own_versions() -> Versions:
    """Versions of the worker's own interpreter, in which runs execute."""
    packages = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return Versions(python=platform.python_version(), packages=dict(sorted(packages.items())))
