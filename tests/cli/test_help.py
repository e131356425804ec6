"""Every command explains itself in the same way, and help costs nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from fitq.cli.main import COMMANDS, cli


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it, groups included."""
    for name in COMMANDS:
        command = cli.load(name)  # type: ignore[attr-defined]  # LazyGroup
        yield name, command
        if isinstance(command, click.Group):
            for verb, child in command.commands.items():
                yield f"{name} {verb}", child


ALL = dict(commands())


@pytest.mark.parametrize("words", ALL)
def test_help_is_a_sentence_that_starts_with_a_verb_and_closes_with_three_examples(words: str) -> None:
    command = ALL[words]
    sentence = (command.help or "").partition("\n")[0]
    assert sentence.endswith("."), words
    assert sentence[0].isupper()
    assert sentence.split()[0].rstrip("s,") not in ("The", "A", "This", "It")
    examples = (command.epilog or "").split("\n\n")[1:]
    assert len(examples) == 3, words
    assert any(f"fitq {words}" in example for example in examples), words


@pytest.mark.parametrize("words", ALL)
def test_every_option_says_what_it_does(words: str) -> None:
    silent = [p.name for p in ALL[words].params if isinstance(p, click.Option) and not p.help]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_page_says(name: str) -> None:
    assert (ALL[name].help or "").startswith(COMMANDS[name].sentence)


READING = [
    "status", "runs list", "runs show", "runs metrics", "runs artifacts", "runs compare", "models list",
    "models show", "score", "endpoints list", "endpoints show", "endpoints keys", "functions list",
    "pools list", "settings", "doctor", "version", "apply", "diff", "export",
]  # fmt: skip


@pytest.mark.parametrize("words", READING)
def test_every_reading_command_has_json(words: str) -> None:
    assert any("--json" in p.opts for p in ALL[words].params)


def test_help_imports_nothing_that_only_a_command_needs() -> None:
    code = "import sys; from fitq.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Submit a script or folder as a run." in done.stdout
    heavy = {"httpx2", "fitq.sdk.client", "numpy", "redis", "starlette", "psutil", "fitq.cli.runs"}
    assert not heavy & set(done.stderr.split())


def test_python_m_fitq_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fitq", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("fitq ")
