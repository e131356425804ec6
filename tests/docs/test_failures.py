"""The page on failures lists exactly the kinds that there are."""

from __future__ import annotations

import re
from pathlib import Path

from fitq.worker.doctor import diagnosis

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "why-did-my-run-fail.md").read_text()


def test_every_kind_is_listed_with_its_sentence() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, re.MULTILINE))
    assert rows == diagnosis.KINDS


def test_hints_name_commands_that_exist() -> None:
    text = "".join(p.read_text() for p in (ROOT / "src" / "fitq" / "worker" / "doctor").rglob("*.py"))
    named = set(re.findall(r"fitq (?:runs|models) [a-z]+", text))
    assert named >= {"fitq runs logs", "fitq runs rerun"}
    commands = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert [words for words in named if f"# {words}\n" not in commands] == []
