"""The whole platform as real processes, once for all flows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitq import Workspace
from fitq.local.stack import Stack
from tests.conftest import FUNCTIONS

_SMALL = '''
import os
from fitq import RunContext, function


@function(pool="small")
def whoami(run: RunContext, text: str = "x") -> None:
    """Log who executes it."""
    run.log("parent", os.getppid())
    (run.outputs / "text.txt").write_text(text)
'''


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "environments").mkdir()
    (folder / "environments" / "packages").symlink_to(packages)
    functions = shutil.copytree(FUNCTIONS, folder / "functions")
    (functions / "small.py").write_text(_SMALL)
    (functions / "broken.py").write_text("import package_that_is_not_there\n")
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)  # where tests and their scripts meet
    with Stack(
        folder / ".fitq",
        functions=functions,
        pools={"default": 1, "small": 2},
        api_port=0,
        scoring_port=0,
        environment={
            **os.environ,
            "FITQ_ENVIRONMENTS": str(folder / "environments"),
            "FITQ_RUN_PATHS": str(shared),
        },
    ) as stack:
        yield stack


@pytest.fixture
def ws(stack: Stack) -> Iterator[Workspace]:
    ws = Workspace.from_config(str(stack.home.folder / "config.json"))
    yield ws
    ws.client.close()


@pytest.fixture
def beside(stack: Stack) -> Path:
    """A folder from which `Workspace.from_config()` finds the platform."""
    return stack.home.folder.parent
