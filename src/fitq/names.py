"""Names: what may be one, how new ones are made, and which one was probably meant."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Iterable
from pathlib import PurePosixPath

from fitq.errors import InvalidRequest

#: noun → (pattern, what the pattern means in words). Names become URL segments, object keys and
#: queue names, so nothing outside these patterns ever reaches a store.
PATTERNS: dict[str, tuple[re.Pattern[str], str]] = {
    "experiment": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"),
        "1–128 letters, digits, '.', '_' or '-', starting with a letter or digit",
    ),
    "function": (
        re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}"),
        "1–128 letters, digits, '.', '_' or '-', starting with a letter",
    ),
    "pool": (
        re.compile(r"[a-z][a-z0-9-]{0,62}"),
        "1–63 lower-case letters, digits or '-', starting with a letter",
    ),
    "model": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"),
        "1–255 letters, digits, '.', '_' or '-', starting with a letter or digit",
    ),
    "data": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"),
        "1–128 letters, digits, '.', '_' or '-', starting with a letter or digit",
    ),
    "input": (
        re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}"),
        "1–63 letters, digits or '_', starting with a letter",
    ),
    "secret": (
        re.compile(r"(?!FITQ_)[A-Za-z_][A-Za-z0-9_]{0,127}"),
        "1–128 letters, digits or '_', not starting with a digit or FITQ_: it becomes a variable's name",
    ),
    "alias": (
        re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}"),
        "1–64 letters, digits, '_' or '-', starting with a letter",
    ),
    "environment": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"),
        "1–128 letters, digits, '.', '_' or '-', starting with a letter or digit",
    ),
    "endpoint": (
        re.compile(r"[a-z]([-a-z0-9]{1,30}[a-z0-9])"),
        "3–32 lower-case letters, digits or '-', starting with a letter, not ending in '-'",
    ),
    "label": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}"),
        "1–63 letters, digits, '.', '_', '/' or '-', starting with a letter or digit",
    ),
    "run": (
        re.compile(r"[a-z0-9][a-z0-9-]{0,63}"),
        "1–64 lower-case letters, digits or '-'",
    ),
    "workspace": (
        re.compile(r"[a-z][a-z0-9-]{0,62}"),
        "1–63 lower-case letters, digits or '-', starting with a letter",
    ),
    "snapshot": (re.compile(r"[0-9a-f]{64}"), "64 lower-case hex digits"),
}

#: How arguments and commands name an input's path: `${{inputs.flowers}}`.
INPUT_REFERENCE = re.compile(r"\$\{\{\s*inputs\.(\w+)\s*\}\}")

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: they are misread aloud


def check_name(noun: str, name: str) -> str:
    """Return `name` if it may name a `noun`.

    Raises:
        InvalidRequest: it may not; the message says what a good name looks like.
    """
    pattern, words = PATTERNS[noun]
    if not pattern.fullmatch(name):
        shown = name if len(name) <= 60 else name[:57] + "…"
        raise InvalidRequest(
            f"{shown!r} is not a valid {noun} name.",
            hint=f"Use {words}.",
            at=noun,
            expected=words,
            got=shown,
        )
    return name


def stays_inside(path: str) -> bool:
    """Whether a relative path names something below its folder, in characters that can be read."""
    parts = PurePosixPath(path).parts
    leaves = not parts or path.startswith("/") or ".." in parts or "\\" in path or len(path) > 1000
    return not leaves and not any(ord(c) < 32 or ord(c) == 127 for c in path)


def is_sha256(text: str) -> bool:
    """Whether it looks like a SHA-256 that we wrote."""
    return PATTERNS["snapshot"][0].fullmatch(text) is not None


def version_number(text: str) -> int | None:
    """The version that a text of digits names; None for any other text, which may be an alias."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def new_run_id(stem: str, seed: bytes | None = None) -> str:
    """A fresh run id that starts with a readable stem: `iris-k3f9x2ma`.

    Args:
        seed: at least 8 bytes that decide the rest; random ones if None.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:24].strip("-") or "run"
    rest = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in (seed or secrets.token_bytes(8))[:8])
    return f"{readable}-{rest}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with near matches of `name`, or the empty string."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
