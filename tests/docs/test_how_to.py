"""The how-tos are followed to the letter: their files are written, their commands run, against a platform."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitq.backend import open_backend
from fitq.local.stack import Stack
from fitq.pools import find_pool
from tests.conftest import eventually

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "how-to" / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _write_files(page: str, folder: Path) -> None:
    """Python blocks that begin with a file's name in a comment."""
    for block in _blocks(page, "python"):
        named = re.match(r"# ([\w/]+\.py)\b", block)
        if named:
            file = folder / named[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody follows the pages."""
    folder = tmp_path_factory.mktemp("somebody")
    _write_files("use-my-script.md", folder)
    _write_files("use-my-scoring-script.md", folder)
    _write_files("write-a-training-function.md", folder)
    _write_files("give-it-secrets.md", folder)
    return folder


@pytest.fixture(scope="module")
def platform(folder: Path) -> Iterator[Stack]:
    """What `fitq up --functions ./functions` makes."""
    with Stack(
        folder / ".fitq", functions=folder / "functions", pools={"default": 1}, api_port=0, scoring_port=0
    ) as stack:
        yield stack


def _follow(page: str, folder: Path, **variables: str) -> str:
    """Run a page's commands in order, as one shell; returns what they print."""
    lines = [ln for block in _blocks(page, "sh") for ln in block.splitlines()]
    done_here = ("fitq up", "export ")
    script = "\n".join(ln for ln in lines if not ln.startswith(done_here))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
    environment = inherited | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | variables
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{page}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_use_my_script(folder: Path, platform: Stack) -> None:
    printed = _follow("use-my-script.md", folder)
    assert "flowers:1" in printed
    assert printed.splitlines()[-2:] == ["my-flowers:1", "[0]"]


def test_use_my_scoring_script(folder: Path, platform: Stack) -> None:
    printed = _follow("use-my-scoring-script.md", folder).splitlines()
    assert printed == [
        "flower-names:1", '["virginica"]', "flower-numbers:1", "[3]", "flower-pair:1", "[2,2]",
    ]  # fmt: skip


def test_write_a_training_function(folder: Path, platform: Stack) -> None:
    printed = _follow("write-a-training-function.md", folder)
    assert "iris" in printed
    assert "1 passed" in printed


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is about curl")
def test_call_the_scoring_url(folder: Path, platform: Stack) -> None:
    run = _fitq(folder, "call", "iris", "--wait").strip()
    _fitq(folder, "models", "register", "sklearn-iris", "--run", run, "--path", "outputs/model.joblib")
    config = json.loads((folder / ".fitq" / "config.json").read_text())
    _fitq(folder, "endpoints", "deploy", "flowers", "--model", "sklearn-iris")
    printed = _follow("call-the-scoring-url.md", folder, SCORING=config["fitq_scoring_url"])
    assert printed.count("[0]") == 4


def test_give_it_secrets(folder: Path, platform: Stack) -> None:
    places = platform.home.folder / "secrets"
    places.mkdir(mode=0o700)
    (places / "DB_PASSWORD").touch()
    backend = open_backend(platform.settings)
    eventually(lambda: find_pool(backend, "default").offered_secrets, what="a worker's word of its secrets")
    _follow("give-it-secrets.md", folder, PASSWORD="hunter2")
    (newest,) = json.loads(_fitq(folder, "runs", "list", "--limit", "1", "--json"))
    assert _fitq(folder, "runs", "logs", newest["id"]) == "connecting with a password of 7 characters\n"
    assert newest["secrets"] == ["DB_PASSWORD"]


def _fitq(folder: Path, *words: str) -> str:
    done = subprocess.run([BIN / "fitq", *words], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
