"""What scripts print, as text that does nothing to whoever looks at it.

A terminal obeys what it is sent: it can be made to rename its window, to fill the clipboard, to hide or
rewrite lines. So terminals and pages get text without such codes; files and pipes get what was printed.
"""

from __future__ import annotations

import re

#: CSI (colours, cursor), OSC (titles, links) and the two-character escapes of terminals.
ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
#: Besides control characters: those that turn text around and so make it read as something else.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
_CONTROL = {c: None for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\n\t"}
_DROPPED = {**_CONTROL, **_TURNING}


def plain_text(text: str) -> str:
    """Text without what a page should not carry; tabs and line ends stay."""
    return ESCAPE.sub("", text).translate(_DROPPED)


def terminal_text(text: str) -> str:
    """Text as a terminal may have it: of all that it would obey, colours and line ends stay."""
    colours = [*_COLOUR.findall(text), ""]
    between = (plain_text(piece) for piece in _COLOUR.split(text))
    return "".join(piece + colour for piece, colour in zip(between, colours, strict=True))


__all__ = ["ESCAPE", "plain_text", "terminal_text"]
