"""The environments of this machine, as settings describe them."""

from __future__ import annotations

import os
from pathlib import Path

from fitq.environments.builder import Environments
from fitq.settings import Settings
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore


def open_environments(settings: Settings, objects: ObjectStore) -> Environments:
    """For every program that runs something in an environment. Nothing is made or looked for before its use.

    Example:
        >>> environments = open_environments(settings, backend.objects)
        >>> with contextlib.closing(environments.open(run.environment.hash)) as folder:
        ...     subprocess.run([folder.python, "child.py"])
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Environments(
        Path(settings.environments or Path(cache, "fitq", "environments")).absolute(),
        objects,
        ObjectKeys(settings.workspace),
        pythons=settings.pythons,
        downloads=bool(settings.python_downloads),
        limit_bytes=settings.environments_bytes,
    )
