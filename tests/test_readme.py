"""The README's transcript is executed, command by command, and says what it says there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import FUNCTIONS, ROOT

README = (ROOT / "README.md").read_text()
_DEFAULT = {"8700": "fitq_url", "8701": "fitq_scoring_url"}


class Step(NamedTuple):
    command: str
    expected: str


def steps() -> list[Step]:
    """Commands after `$ ` (continued while indented or ending in a backslash), and what follows them."""
    (transcript,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    found: list[Step] = []
    for block in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
        lines = block.splitlines()
        size = 1
        while lines[size - 1].endswith("\\"):
            size += 1
        found.append(Step("\n".join(lines[:size]), "\n".join(lines[size:]).strip()))
    return found


class Shell:
    """One shell session: variables that a step sets are there for the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory = folder / "variables.sh"
        self._memory.touch()
        paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")} | {
            "PATH": os.pathsep.join(paths)
        }

    def config(self) -> dict[str, str]:
        file = self._folder / ".fitq" / "config.json"
        found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def run(self, command: str) -> str:
        # The same commands on free ports: the default ones may be in use where tests run.
        command = command.replace("fitq up", "fitq up --api-port 0 --scoring-port 0")
        for port, key in _DEFAULT.items():
            command = command.replace(f"http://127.0.0.1:{port}", self.config().get(key, ""))
        script = f". {self._memory}\n{command}\nset | grep -E '^(RUN|FITQ_TOKEN)=' > {self._memory} || true"
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        shown = done.stdout.strip()
        for port, key in _DEFAULT.items():
            if self.config():
                shown = shown.replace(self.config()[key], f"http://127.0.0.1:{port}")
        return "\n".join(line.rstrip() for line in shown.splitlines())


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shutil.copytree(FUNCTIONS, tmp_path / "functions")
    shell = Shell(tmp_path)
    yield shell
    shell.run("fitq down || true")


def test_the_transcript_is_true(shell: Shell) -> None:
    assert len(steps()) >= 7
    for step in steps():
        assert shell.run(step.command) == step.expected, step.command


def test_the_two_commands_are_there() -> None:
    for script in re.findall(r"^scripts/\w+", README, re.MULTILINE):
        assert os.access(ROOT / script, os.X_OK), script
    assert (ROOT / ".ci" / "run").read_text().count("scripts/test") == 1
