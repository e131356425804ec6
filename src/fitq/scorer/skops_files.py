"""What a skops file says of itself: a zip archive whose `schema.json` names every type that it holds.

Nothing of it is loaded here, and skops itself is not asked: a file of unknown origin is read by it only in a
scorer child.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

_SCHEMA = "schema.json"
_SCHEMA_BYTES = 200_000_000
_SKLEARN = re.compile(r'"_sklearn_version"\s*:\s*\{[^{}]*?"content"\s*:\s*"\\"([0-9][^"\\]{0,40})\\""')


class UnreadableSkops(Exception):
    """It cannot be followed to its end."""


def is_skops(path: Path) -> bool:
    """Whether a file is an archive, which a pickle never is; told as the scorer child tells it."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def names_in_skops(path: Path) -> set[tuple[str, str]]:
    """(module, name) of all types and functions that it holds.

    Raises:
        UnreadableSkops: it is cut short, too large, or not what skops writes.
    """
    try:
        schema = json.loads(_schema(path))
    except (ValueError, RecursionError) as exc:
        raise UnreadableSkops(f"its {_SCHEMA} is not readable: {str(exc)[:200]}") from exc
    found: set[tuple[str, str]] = set()
    left: list[Any] = [schema]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "__module__" in value or "__class__" in value or "__loader__" in value:
                found.add((str(value.get("__module__")), str(value.get("__class__"))))
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return found


def versions_in_skops(path: Path) -> dict[str, str]:
    """Of scikit-learn and skops, those that wrote it; what it does not tell is left out."""
    try:
        text = _schema(path).decode("utf-8", "replace")
        skops = json.loads(text).get("_skops_version")
    except (UnreadableSkops, ValueError, RecursionError, AttributeError):
        return {}
    sklearn = _SKLEARN.search(text)
    found = {"scikit-learn": sklearn[1] if sklearn else "", "skops": skops}
    return {n: v for n, v in found.items() if isinstance(v, str) and re.fullmatch(r"[0-9][\w.+-]{0,40}", v)}


def _schema(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_SCHEMA) as file:
            data = file.read(_SCHEMA_BYTES + 1)
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, NotImplementedError, RuntimeError) as exc:
        raise UnreadableSkops(f"it is no whole archive: {exc}") from exc
    if len(data) > _SCHEMA_BYTES:
        raise UnreadableSkops(f"its {_SCHEMA} is larger than {_SCHEMA_BYTES} bytes")
    return data
