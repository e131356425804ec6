"""Links lead somewhere, commands exist, generated pages are current."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "docs" / "reference" / "generate.py"
PAGES = sorted(
    [
        *(p for p in ROOT.glob("*.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "services").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_FITQ = re.compile(r"(?<![\w./-])fitq((?: [a-z][a-z-]*)+)")
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


@pytest.mark.parametrize("page", PAGES, ids=_NAME.get)
def test_every_command_named_in_a_page_exists(page: Path) -> None:
    from fitq.cli.main import cli

    code = "\n".join(_CODE.findall(page.read_text()))
    for words in _FITQ.findall(code):
        assert _exists(cli, words.split()), f"fitq{words} in {_NAME[page]}"


def _exists(command: click.Command, words: list[str]) -> bool:
    """Whether words lead to a command; after the last group whatever follows is its argument."""
    if not words or not isinstance(command, click.Group):
        return True
    child = command.get_command(click.Context(command), words[0])
    return child is not None and _exists(child, words[1:])


@pytest.mark.parametrize("name", ["settings.md", "cli.md"])
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    make: Any = _generator().PAGES[name]
    kept = (GENERATOR.parent / name).read_text()
    assert kept == make(), "refresh it with: python docs/reference/generate.py"


def test_options_named_in_pages_exist() -> None:
    """`fitq submit … --follow`: each long option after a command is one of it."""
    from fitq.cli.main import cli

    for page in PAGES:
        for line in "\n".join(_CODE.findall(page.read_text())).splitlines():
            for words, rest in re.findall(r"(?<![\w./-])fitq((?: [a-z][a-z-]*)+)([^|;&)]*)", line):
                command = _command(cli, words.split())
                known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
                used = re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.split(" -- ")[0])
                assert set(used) <= known, f"{line.strip()} in {_NAME[page]}"


def _command(command: click.Command, words: list[str]) -> click.Command:
    child = (
        command.get_command(click.Context(command), words[0])
        if isinstance(command, click.Group) and words
        else None
    )
    return command if child is None else _command(child, words[1:])


def test_the_glossary_has_every_noun_of_the_records() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    for noun in ("Workspace", "Experiment", "Function", "Run", "Artifact", "Model", "Endpoint", "Pool"):
        assert f"**{noun}**" in glossary
