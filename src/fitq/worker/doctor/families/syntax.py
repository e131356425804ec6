"""A file that is no Python, or not this Python."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"syntax_error": "A file is not valid in the Python that ran it."}

_PYTHON_2 = (
    (re.compile(r"Missing parentheses in call to 'print'"), "print without parentheses"),
    (re.compile(r"Missing parentheses in call to 'exec'"), "exec without parentheses"),
    (re.compile(r"multiple exception types must be parenthesized"), "except with a comma"),
    (re.compile(r"leading zeros in decimal integer literals"), "an octal number such as 0755"),
    (re.compile(r"inconsistent use of tabs and spaces"), "tabs mixed with spaces"),
)
_PYTHON_2_CODE = (
    (re.compile(r"\s*print\s+[^(=.\s]"), "print without parentheses"),
    (re.compile(r"\s*except\s+[\w.]+\s*,\s*\w+\s*:"), "except with a comma"),
    (re.compile(r"\s*raise\s+\w+\s*,\s*.+"), "raise with a comma"),
    (re.compile(r".*<>.*"), "the operator <>"),
)
#: What a newer Python takes and an older one does not: (pattern, since, what).
_NEWER = (
    (re.compile(r"\s*match\s+.+:"), "3.10", "match statements"),
    (re.compile(r".*:="), "3.8", "the operator :="),
    (re.compile(r"\s*except\s*\*"), "3.11", "except*"),
    (re.compile(r"\s*type\s+\w+(?:\[.*\])?\s*="), "3.12", "type statements"),
    (re.compile(r"""[^#]*\bf['"]"""), "3.6", "f-strings"),
)


def recognise(case: Case, trace: Trace) -> Finding | None:
    """SyntaxError and its kin, with the line they name."""
    if trace.short_name not in ("SyntaxError", "IndentationError", "TabError"):
        return None
    frame = case.frame_of(trace)
    code = frame.code[:500] if frame else ""
    place = case.place(trace)
    return Finding(
        "syntax_error", f"{trace.sentence}{f' ({place})' if place else ''}", _hint(case, trace, code)
    )


def _hint(case: Case, trace: Trace, code: str) -> str:
    python = case.run.versions.python or "3"
    for pattern, what in _PYTHON_2:
        if pattern.search(trace.text):
            return _written_for_2(what, python)
    for pattern, what in _PYTHON_2_CODE:
        if pattern.match(code):
            return _written_for_2(what, python)
    for pattern, since, what in _NEWER:
        if pattern.match(code) and _number(python) < _number(since):
            return f"The line uses {what}, which needs Python {since}; this run had Python {python}."
    return "Check it before it is sent: python -m py_compile FILE. The cause may stand a line above."


def _written_for_2(what: str, python: str) -> str:
    return (
        f"This is Python 2 ({what}); the run had Python {python}. The converter 2to3, part of Python up to "
        "3.12, rewrites such files: 2to3 -w FILE"
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,4}", version)[:2])
