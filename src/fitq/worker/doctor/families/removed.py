"""What the installed version no longer has: the table is `data/removed.csv`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fitq.worker.doctor import tables
from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.tables import Removed
from fitq.worker.doctor.trace import Trace

KINDS = {"removed_api": "The script uses what the installed version of a package no longer has."}

_OF_MODULE = re.compile(r"[Mm]odule '(?P<owner>[\w.]{1,200})' has no attribute '(?P<name>\w{1,200})'")
_OF_OBJECT = re.compile(r"'(?P<owner>[\w.]{1,200})' object has no attribute '(?P<name>\w{1,200})'")
_OF_CLASS = re.compile(r"type object '(?P<owner>\w{1,200})' has no attribute '(?P<name>\w{1,200})'")
_IMPORTED = re.compile(r"cannot import name '(?P<name>\w{1,200})' from '(?P<owner>[\w.]{1,200})'")
_FROM_OWNER = (_OF_MODULE, _OF_OBJECT, _OF_CLASS, _IMPORTED)
_OF_NUMPY = re.compile(r"`np\.(?P<name>\w{1,100})` was removed in the NumPy")
_MODULE = re.compile(r"No module named '(?P<path>[\w.]{1,200})'")
#: Python 3.6, and packages that say so themselves, name no module.
_NAME_ONLY = re.compile(
    r"cannot import name '(?P<name>\w{1,200})'(?! from)|`(?P<told>\w{1,100})` has been removed"
)
_KEYWORD = re.compile(
    r"(?:(?P<owner>[\w.]{1,200})\(\) )?got an unexpected keyword argument '(?P<name>\w{1,100})'"
)
_VALUE = re.compile(
    r"The '(?P<name>\w{1,100})' parameter of \w{1,100} must be .{0,2000}Got (?P<value>'[^']{0,100}'|\w+)",
    re.DOTALL,
)
_ROOTS = ("numpy", "pandas", "sklearn", "scipy")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """An exception that a row of the table explains, for the version that was installed."""
    for row in _matches(case, trace):
        installed = case.version(row.package)
        if not installed or tables.number(installed) >= tables.number(row.gone_in):
            return _finding(row, installed)
    return None


def _finding(row: Removed, installed: str) -> Finding:
    here = f"; this run had {row.package} {installed}" if installed else ""
    era = tables.environment_with(row.package, row.gone_in)
    return Finding(
        "removed_api",
        f"{row.shown} is gone since {row.package} {row.gone_in}{here}.",
        f"Instead: {row.instead}. Or run the script as it is in an environment that still has it: {era}.",
        packages=(row.package,),
    )


def _matches(case: Case, trace: Trace) -> Iterator[Removed]:
    text, code = trace.text[:6000], _code(case, trace)
    for pattern in _FROM_OWNER:
        if found := pattern.search(text):
            yield from tables.removed_names(found["owner"], found["name"])
    if found := _OF_NUMPY.search(text):
        yield from tables.removed_names("numpy", found["name"])
    if found := _MODULE.search(text):
        yield from tables.removed_below(found["path"])
    if found := _NAME_ONLY.search(text):
        for root in _ROOTS:
            yield from tables.removed_of(root, found["name"] or found["told"]) if root in code else ()
    if found := _KEYWORD.search(text):
        yield from tables.removed_keywords(found["name"], f"{found['owner']} {code}")
    if found := _VALUE.search(text):
        yield from tables.removed_values(found["name"], found["value"])


def _code(case: Case, trace: Trace) -> str:
    """The user's line and the one that raised: one of them names what was called."""
    frame = case.frame_of(trace)
    raised = trace.frames[-1] if trace.frames else None
    return " ".join(f"{f.code} {f.function}" for f in (frame, raised) if f is not None)[:2000]
