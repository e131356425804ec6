"""Text for terminals and pages: colours may pass, nothing else that would be obeyed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitq.printed import plain_text, terminal_text

PIECES = st.sampled_from(
    ["\x1b", "[", "31", "m", "0m", "2J", "]52;c;", "\x07", "\x9b", "\r", "\n", "\x08", "x", "\u202e"]
)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m plain\n", "\x1b[1;31mred\x1b[0m plain\n"),
        ("gone\x1b[2J\x1b[1A\x1b[K", "gone"),
        ("\x1b]0;title\x07\x1b]52;c;cm0gLXJm\x07after", "after"),
        ("\x1b[\x1b[31m2J", "[\x1b[31m2J"),
        ("good\rbad \x08\x00\x9b2J", "goodbad 2J"),
        ("tab\tand é\u202egnp.exe\n", "tab\tand égnp.exe\n"),
    ],
)
def test_a_terminal_gets_text_and_colours(printed: str, shown: str) -> None:
    assert terminal_text(printed) == shown


@given(st.lists(PIECES).map("".join))
def test_what_is_left_commands_nothing(printed: str) -> None:
    shown = terminal_text(printed)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", re.sub(r"\x1b\[[0-9;:]*m", "", shown))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", plain_text(printed))
