"""A run's log: whole lines, bounded, progress bars folded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitq.worker import std_log
from fitq.worker.std_log import StdLog


def kept(path: Path) -> str:
    return (path / "log").read_bytes().decode()


def new(path: Path, **options: object) -> StdLog:
    return StdLog(path / "log", max_bytes=1000, **options)  # type: ignore[arg-type]


def test_lines_are_kept_as_they_come(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.feed(b"one\ntw")
    assert kept(tmp_path) == "one\n"
    log.feed(b"o\nthree")
    log.close()
    assert kept(tmp_path) == "one\ntwo\nthree\n"
    assert log.size == len("one\ntwo\nthree\n")


def test_a_progress_bar_is_one_line(tmp_path: Path) -> None:
    log = new(tmp_path)
    for percent in range(0, 101):
        log.feed(f"\r{percent}%".encode())
    log.feed(b"\ndone\r\n")
    log.close()
    assert kept(tmp_path) == "100%\ndone\n"


def test_a_long_going_bar_is_shown_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(std_log.time, "monotonic", lambda: clock[0])
    log = new(tmp_path)
    for percent in range(10):
        clock[0] += 2.0
        log.feed(f"{percent}%\r".encode())
    assert kept(tmp_path).split() == ["2%", "5%", "8%"]
    log.close()


def test_what_is_over_the_limit_is_counted_and_said(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.feed(b"x" * 600 + b"\n" + b"y" * 600 + b"\n")
    assert log.close() == 202
    text = kept(tmp_path)
    assert text.startswith("x" * 600 + "\n" + "y" * 399)
    assert "202 more bytes of output were not kept" in text
    assert log.size == len(text)


def test_one_endless_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    log = StdLog(tmp_path / "log", max_bytes=10_000)
    for _ in range(64):
        log.feed(b"z" * 65536)
    assert len(log._partial) <= 1 << 20
    assert log.close() > 0


def test_binary_noise_is_kept_as_bytes(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.feed(b"\xff\x00\x1b[31mred\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"\xff\x00\x1b[31mred\n"
    assert log.tail()[-2].endswith("red")


def test_a_second_attempt_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    log = new(tmp_path, before=b"first\n")
    log.note("attempt 2")
    log.feed(b"second\n")
    log.close()
    assert kept(tmp_path) == "first\n[fitq] attempt 2\nsecond\n"
