"""The script did not understand its arguments (argparse, click, Fire)."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding

KINDS = {"argument_error": "The script does not take the arguments it was given."}

_COMPLAINT = re.compile(r"(?:\S{1,200}(?: \S{1,60})?: error: |Error: |ERROR: )(?P<text>.+)")
_USAGE = ("usage: ", "Usage: ")
_LOOKED_AT = 40  #: a long usage text may stand before the complaint


def recognise(case: Case) -> Finding | None:
    """Exit code 2 with the complaint that argument parsers end with."""
    if case.exit_code != 2:
        return None
    lines = [line[:2000] for line in case.lines[-_LOOKED_AT:]]
    complaint = next((ln for ln in reversed(lines) if _COMPLAINT.fullmatch(ln)), None)
    if complaint is None:
        return None
    usage = [ln for ln in lines if ln.startswith(_USAGE)][-1:]
    given = " ".join(case.run.arguments)
    found = _COMPLAINT.fullmatch(complaint)
    text = found["text"] if found else complaint
    return Finding(
        "argument_error",
        f"The script refused its arguments: {text}",
        f"It was given: {given}." if given else "It was given no arguments; they follow -- of fitq submit.",
        lines=[*usage, complaint],
    )
