"""Sizes and durations as people write them: `2GiB`, `1h30m`."""

from __future__ import annotations

import re

from fitq.errors import InvalidRequest

_SIZES = {
    "": 1, "b": 1,
    "k": 1000, "kb": 1000, "m": 1000**2, "mb": 1000**2, "g": 1000**3, "gb": 1000**3,
    "ki": 1024, "kib": 1024, "mi": 1024**2, "mib": 1024**2, "gi": 1024**3, "gib": 1024**3,
}  # fmt: skip
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MOST = 2.0**53  #: beyond it no number of bytes or seconds is meant


def parse_bytes(text: str) -> int:
    """`"2GiB"` → 2147483648. A plain number is bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _SIZES:
        raise InvalidRequest(f"{text!r} is not a size.", hint="Write it like 512MiB or 2GiB.")
    return int(_sane(text, float(match[1]) * _SIZES[match[2].lower()]))


def parse_seconds(text: str) -> float:
    """`"1h30m"` → 5400.0. A plain number is seconds."""
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text):
        return _sane(text, float(text))
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(n + unit for n, unit in parts) != text.strip():
        raise InvalidRequest(f"{text!r} is not a duration.", hint="Write it like 30s, 10m or 1h.")
    return _sane(text, sum(float(n) * _SECONDS[unit] for n, unit in parts))


def _sane(text: str, amount: float) -> float:
    if amount > _MOST:
        raise InvalidRequest(f"{text.strip()[:40]} is more than there is.", hint="Leave it out for no limit.")
    return amount


def format_seconds(seconds: float) -> str:
    """`5400.0` → `"1h 30m"`, `0.35` → `"0.35 s"`: two figures a person reads at a glance."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def format_bytes(size: float) -> str:
    """`1536` → `"1.5 KiB"`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")
