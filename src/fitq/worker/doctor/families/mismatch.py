"""Versions that do not fit each other: of a script and a package, of two compiled packages."""

from __future__ import annotations

import re

from fitq.worker.doctor import tables
from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {
    "version_mismatch": "A script, a file or a compiled package needs another version than was installed."
}

_NEW_NAME = re.compile(
    r"(?:cannot import name|has no attribute|No module named) '(?:[\w.]{1,200}\.)?(?P<name>\w{1,200})'"
)
_NEW_KEYWORD = re.compile(r"got an unexpected keyword argument '(?P<name>\w{1,100})'")
_BINARY = re.compile(
    r"dtype size changed|compiled using NumPy 1\.x|compiled against (?:API version|NumPy)|"
    r"numpy\.core\.multiarray failed to import|undefined symbol|GLIBC(?:XX)?_[\d.]{1,10}' not found"
)
_WATCHED = ("numpy", "scikit-learn", "scipy", "pandas", "joblib")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """What is too new for the packages here, and binaries that were made for others."""
    return _binary(trace) or _too_new(case, trace)


def _binary(trace: Trace) -> Finding | None:
    if not _BINARY.search(trace.text[:6000]):
        return None
    return Finding(
        "version_mismatch",
        f"A compiled package does not fit what it was loaded with: {trace.first_line[:300]}",
        "It was compiled against another version, of numpy most likely. Let one installer choose all "
        "versions together; if the package has no build for numpy 2 yet, require numpy<2.",
        packages=_WATCHED,
    )


def _too_new(case: Case, trace: Trace) -> Finding | None:
    text = trace.text[:3000]
    found = _NEW_NAME.search(text)
    frame = case.frame_of(trace)
    words = " ".join(filter(None, [text, frame.code if frame else ""]))
    rows = tables.added_names(found["name"], words) if found else []
    if keyword := _NEW_KEYWORD.search(text):
        rows = tables.added_keywords(keyword["name"], words)
    for row in rows:
        installed = case.version(row.package)
        if installed and tables.number(installed) < tables.number(row.since):
            return Finding(
                "version_mismatch",
                f"{row.shown} came with {row.package} {row.since}; this run had {row.package} {installed}.",
                f"Ask for {row.package}>={row.since} in the run's environment, or use {row.before}.",
                packages=(row.package,),
            )
    return None
