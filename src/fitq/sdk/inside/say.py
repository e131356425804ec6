"""Remarks for whoever reads the log."""

import sys
from typing import Set

_said: Set[str] = set()


def warn_once(key: str, message: str) -> None:
    """Say something on standard error, once per process."""
    if key not in _said:
        _said.add(key)
        sys.stderr.write("fitq: %s\n" % message)
