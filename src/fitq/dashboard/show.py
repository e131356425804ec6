"""How values look on a page: times, durations, numbers, long text. Jinja filters; none returns markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fitq.printed import plain_text
from fitq.records import now
from fitq.units import format_bytes, format_seconds


def ago(at: datetime) -> str:
    """`"4 min ago"`: how long since, in one unit."""
    seconds = max(0.0, (now() - at).total_seconds())
    if seconds < 5:
        return "just now"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def clock(at: datetime) -> str:
    """`"2026-11-24 09:50:22"`, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def stamp(at: datetime) -> str:
    """RFC 3339, for machines."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def number(value: Any, most: int = 60) -> str:
    """At most five significant digits, whole numbers whole: `0.97333`, `1500`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return short(value, most)
    if isinstance(value, int) and abs(value) < 10**9:
        return str(value)
    try:
        return f"{float(value):.5g}"
    except OverflowError:
        return short(value, 24)


def short(value: Any, most: int = 200) -> str:
    """Any value as one line of at most `most` characters, without control characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = plain_text(" ".join(text[: most * 4].split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def line(text: str, most: int = 300) -> str:
    """One line of a log with its indentation, at most `most` characters."""
    return plain_text(text[:most].replace("\n", " "))


def hour(at: datetime) -> str:
    """`"09:50:22"`, in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def since(at: datetime, start: datetime) -> str:
    """`"+3.10 s"`: how long after `start`."""
    return f"+{format_seconds(max(0.0, (at - start).total_seconds()))}"


def seconds(value: float | None) -> str:
    """A duration, or a dash."""
    return "–" if value is None else format_seconds(max(0.0, value))


def segment(text: str) -> str:
    """Text as one segment of an address."""
    return quote(text, safe="")


def segments(path: str) -> str:
    """A path as several segments of an address."""
    return quote(path, safe="/")


FILTERS: dict[str, Callable[..., str]] = {
    "ago": ago,
    "clock": clock,
    "stamp": stamp,
    "hour": hour,
    "line": line,
    "number": number,
    "short": short,
    "seconds": seconds,
    "since": since,
    "bytes": format_bytes,
    "segment": segment,
    "segments": segments,
}
