"""Environments in a folder of each test's own, with one package cache for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fitq.environments.builder import Environments
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects

#: A wheel of 6 kB without dependencies: what most of these tests need of a package.
TINY = "iniconfig==1.1.1"


Machine = Callable[..., Environments]


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def machine(tmp_path: Path, packages: Path, objects: MemoryObjects) -> Machine:
    """Makes a machine of its own, on the same object store."""

    def make(name: str = "machine", **settings: object) -> Environments:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if not (folder / "packages").exists():
            (folder / "packages").symlink_to(packages)
        return Environments(folder, objects, ObjectKeys("default"), **settings)  # type: ignore[arg-type]

    return make
