"""The header in which a script lists its own packages (PEP 723)."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"(?m)^# /// script[ \t]*\r?$\s(?P<toml>(?:^#(?:| .*)\r?$\s)+)^# ///[ \t]*\r?$")


def header_block(script: str) -> str | None:
    """The header's lines as they stand in the script; None without one."""
    match = _BLOCK.search(script)
    return None if match is None else match[0]


def header_of(script: str) -> str | None:
    """The TOML in the header; None without one."""
    match = _BLOCK.search(script)
    if match is None:
        return None
    lines = match["toml"].splitlines(keepends=True)
    return "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
