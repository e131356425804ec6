"""What people type: NAME=VALUE, JSON or a file, MODEL:VERSION."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fitq.errors import InvalidRequest


def pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """`("a=1", "b=2")` → `{"a": "1", "b": "2"}`.

    Raises:
        InvalidRequest: one has no `=`, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidRequest(f"{option} {text} is not NAME=VALUE.", hint=f"Write it like {option} a=1.")
        if name in found:
            raise InvalidRequest(f"{option} gives {name!r} twice.", hint="Give each name once.")
        found[name] = value
    return found


def model_and_version(text: str) -> tuple[str, str | None]:
    """`iris:3` → `("iris", "3")`; `iris` → `("iris", None)`."""
    name, colon, version = text.partition(":")
    if not name or (colon and not version):
        raise InvalidRequest(f"{text!r} is not MODEL or MODEL:VERSION.", hint="Write it like iris or iris:3.")
    return name, version or None


def json_or_file(option: str, text: str) -> Any:
    """A JSON value that is typed, in a file, or on standard input (`-`).

    Raises:
        InvalidRequest: it is none of these; says where the JSON is wrong.
    """
    is_typed = text.lstrip().startswith(("[", "{", '"'))
    where = option if is_typed else "standard input" if text == "-" else text
    try:
        return json.loads(text if is_typed else _read(option, text))
    except (ValueError, RecursionError) as exc:  # also what is no text at all
        raise InvalidRequest(
            f"{where} is not JSON: {exc}.", hint=f"Write it like {option} '[[5.1, 3.5, 1.4, 0.2]]'."
        ) from exc


def _read(option: str, text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    file = Path(text)
    if not file.is_file():
        raise InvalidRequest(
            f"{option} {file}: there is no such file, and it is not JSON.",
            hint=f"Write it like {option} '[[5.1, 3.5, 1.4, 0.2]]' or {option} rows.json.",
        )
    return file.read_text(encoding="utf-8-sig")
