"""One platform for all command tests, started as people start it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fitq.cli.main import run
from fitq.local.stack import Stack
from tests.conftest import FUNCTIONS


class Told(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Fitq = Callable[..., Told]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("platform")
    (folder / "environments").mkdir()
    (folder / "environments" / "packages").symlink_to(packages)
    environment = {**os.environ, "FITQ_ENVIRONMENTS": str(folder / "environments")}
    with Stack(
        folder / ".fitq", functions=FUNCTIONS, api_port=0, scoring_port=0, environment=environment
    ) as stack:
        yield stack


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Fitq:
    """Run commands in a folder that knows no platform."""
    for name in ("FITQ_URL", "FITQ_SCORING_URL", "FITQ_TOKEN", "FITQ_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def fitq(*words: str) -> Told:
        capfd.readouterr()
        code = run(list(words))
        said = capfd.readouterr()
        return Told(code, said.out, said.err)

    return fitq


@pytest.fixture
def fitq(alone: Fitq, platform: Stack, monkeypatch: pytest.MonkeyPatch) -> Fitq:
    """Run commands that find the platform."""
    monkeypatch.setenv("FITQ_URL", platform.settings.url)
    monkeypatch.setenv("FITQ_SCORING_URL", platform.settings.scoring_url)
    monkeypatch.setenv("FITQ_TOKEN", platform.settings.token)
    return alone
