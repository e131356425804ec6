"""What a terminal would have left on screen, as plain text that is safe to cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitq.dashboard.logtext import log_text, tail, whole_part


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m plain\n", "red plain\n"),
        (b"\x1b]0;title\x07after \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "after link"),
        (b" 10%\r 50%\r100%\ndone\r\n", "100%\ndone\n"),
        (b"50%\r", "50%"),
        (b"tab\there\x00\x08\x7f\n", "tab\there\n"),
        ("é\u202egnp.exe\u2066".encode(), "égnp.exe"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"lonely \x1b escape \x1b[", "lonely  escape ["),
    ],
)
def test_a_log_is_shown_as_a_terminal_leaves_it(printed: bytes, shown: str) -> None:
    assert log_text(printed) == shown


def test_hostile_logs_take_linear_time() -> None:
    """A megabyte each; anything quadratic would not end within the test's time limit."""
    for piece in (b"\x1b[", b"\x1b]", b"\r", b"x", b"\x1b[0", b"\x1b", b"<"):
        log_text(piece * (1_000_000 // len(piece)))
        tail("&" * 1_000_000, 1000)


@given(st.text().map(str.encode), st.integers(0, 200))
def test_a_piece_never_ends_inside_a_character(data: bytes, cut: int) -> None:
    piece = data[:cut]
    shown = whole_part(piece)
    assert 0 <= len(piece) - shown <= 64
    piece[:shown].decode()


@given(st.binary(max_size=300))
def test_any_bytes_can_be_cut(data: bytes) -> None:
    assert 0 <= whole_part(data) <= len(data)


def test_a_colour_code_is_held_back_until_it_is_whole() -> None:
    assert whole_part(b"ok \x1b[3") == 3
    assert whole_part(b"ok \x1b[31m") == 8
    assert whole_part(b"\xc3") == 0
    assert whole_part(b"\xff\xff\xff\xff\xff") >= 1
    assert whole_part(b"ok \x1b" + b"x" * 200) == 204


def test_the_tail_is_whole_lines_counted_as_escaped() -> None:
    assert tail("a\nb\nc", 100) == ("a\nb\nc", False)
    assert tail("<<<<\nb\nc", 8) == ("b\nc", True)
    text, is_cut = tail("<" * 1000, 100)
    assert (len(text), is_cut) == (20, True)
