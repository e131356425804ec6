"""Links lead somewhere, commands exist, generated pages are current."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from fitq.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "docs" / "reference" / "generate.py"
PAGES = sorted(
    [
        *(p for p in ROOT.glob("*.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "services").rglob("*.md"),
        *(ROOT / "infra").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
#: A command with its words, and the rest of it up to a pipe, a bracket or a quote.
_FITQ = re.compile(r"(?<![\w./-])(?<!from )fitq((?: [a-z][a-z-]*)+)([^|;&)`]*)")
_NAME = {p: str(p.relative_to(ROOT)) for p in PAGES}


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=_NAME.get)
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in _LINK.findall(prose):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} in {_NAME[page]}"
        if anchor:
            assert anchor in _anchors(target), f"{link} in {_NAME[page]}"


def _anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.fixture(scope="module")
def known() -> dict[str, click.Command]:
    """Every command, by the words that call it."""
    return dict(_generator().commands(cli, "fitq"))


def _found(known: dict[str, click.Command], words: str) -> click.Command | None:
    """The command that words lead to; what follows a command that is no group is its argument."""
    path, command = "fitq", known["fitq"]
    for word in words.split():
        if not isinstance(command, click.Group):
            break
        path = f"{path} {word}"
        if path not in known:
            return None
        command = known[path]
    return command


@pytest.mark.parametrize("page", PAGES, ids=_NAME.get)
def test_every_command_and_option_named_in_a_page_exists(page: Path, known: dict[str, click.Command]) -> None:
    lines = "\n".join(_CODE.findall(page.read_text())).splitlines()
    for line in lines:
        for words, rest in _FITQ.findall(line.split("#")[0]):
            command = _found(known, words)
            assert command is not None, f"fitq{words} in {_NAME[page]}"
            has = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            used = re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition(" -- ")[0])
            assert set(used) <= has, f"{line.strip()} in {_NAME[page]}"


@pytest.mark.parametrize("name", ["settings.md", "cli.md"])
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    make: Any = _generator().PAGES[name]
    kept = (GENERATOR.parent / name).read_text()
    assert kept == make(), "refresh it with: python docs/reference/generate.py"


def test_the_glossary_has_every_noun_of_the_records() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    for noun in ("Workspace", "Experiment", "Function", "Run", "Artifact", "Model", "Endpoint", "Pool"):
        assert f"**{noun}**" in glossary
