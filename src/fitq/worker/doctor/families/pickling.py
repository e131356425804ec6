"""Objects that cannot be written to a file or sent to another process, or not be read back from it."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"not_picklable": "An object cannot be pickled, or was pickled under a name that is not there."}

_MAIN = re.compile(
    r"(?:Can't get attribute|has no attribute) '(?P<name>\w{1,200})'.{0,40}<?module '__(?:mp_)?main__'"
)
_MAIN_TURNED = re.compile(r"module '__main__'.{0,200}has no attribute '(?P<name>\w{1,200})'")
_LOST = re.compile(
    r"Can't (?:get|pickle|get local) (?:attribute|object|local object) '(?P<name>[\w.<>]{1,200})'"
)
_UNPICKLABLE = re.compile(
    r"(?:[Cc]an(?:'t|not) pickle|Could not pickle|not picklable|is not JSON serializable)(?P<what>.{0,200})"
)


def recognise(case: Case, trace: Trace) -> Finding | None:
    """Lambdas, local functions, open files; classes of `__main__`."""
    text = trace.text[:3000].splitlines()[0] if trace.text else ""
    if found := _MAIN.search(text) or _MAIN_TURNED.search(text):
        return _of_main(found["name"])
    named = "lambda" in text or "local" in text or trace.short_name == "PicklingError"
    if _UNPICKLABLE.search(text) or (named and _LOST.search(text)):
        return Finding("not_picklable", trace.sentence, _what_to_do(text))
    return None


def _of_main(name: str) -> Finding:
    return Finding(
        "not_picklable",
        f"The file holds {name!r} of the script that wrote it (__main__), and this script has none.",
        f"Define {name} in a module of its own (say parts.py), import it in both scripts, and write the file "
        "again: a pickle only keeps where a class is, not what it is.",
    )


def _what_to_do(text: str) -> str:
    if "lambda" in text or "local" in text:
        return "Name it: a function at the top of a module can be pickled, a lambda or inner function cannot."
    if "JSON" in text:
        return "Convert it first: numpy numbers with .item(), arrays with .tolist()."
    return (
        "Leave it out of what is saved or sent to other processes: open files, connections, generators and "
        "modules cannot be pickled. Make it anew where it is needed."
    )
