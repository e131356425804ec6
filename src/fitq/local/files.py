"""Files that only their owner may read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def private_folder(folder: Path) -> Path:
    """Make a folder of mode 0700 if it is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def secret_folder(folder: Path) -> Path:
    """Make a folder of mode 0700 that git leaves alone, whatever repository it is in."""
    if not folder.exists():
        (private_folder(folder) / ".gitignore").write_text("*\n")
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def write_private_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object of mode 0600."""
    write_private(path, json.dumps(values, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file, or no such object in it."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
