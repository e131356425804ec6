"""It ended by itself with an exit code, and no exception says why."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.suspects import ending, last_paragraph

KINDS = {
    "exited": "It ended itself with an exit code other than 0, by `sys.exit` or as a program does.",
    "command_not_found": "A command names a program that is not there or cannot be started.",
    "file_missing": "A file is not where the script looks for it.",
}
_CANNOT_OPEN = re.compile(r".{0,300}: can't open file '(?P<file>[^']{1,300})': \[Errno 2\].*")
_SHELL = re.compile(r".{0,300}: (?:not found|command not found|Permission denied|No such file or directory)")


def recognise(case: Case) -> Finding:
    """Always something: this family is asked last."""
    return _no_script(case) or _no_program(case) or _exited(case)


def _no_script(case: Case) -> Finding | None:
    for line in case.lines[-3:]:
        found = _CANNOT_OPEN.fullmatch(line[:1000])
        if found:
            name = case.shorten(found["file"])
            near = case.listing.near(name)
            meant = (
                f"The snapshot has {' and '.join(near)}." if near else "Names start at the snapshot's root."
            )
            return Finding("file_missing", f"The snapshot has no script {name!r}.", meant, [line[:1000]])
    return None


def _no_program(case: Case) -> Finding | None:
    if case.run.command is None or case.exit_code not in (126, 127):
        return None
    told = [ln for ln in case.lines[-5:] if _SHELL.fullmatch(ln[:1000])]
    what = told[-1] if told else f"The shell exited with code {case.exit_code}."
    why = "was not found" if case.exit_code == 127 else "may not be executed"
    return Finding(
        "command_not_found",
        f"A program of the command {why}: {what}",
        "A command runs under /bin/sh in the snapshot's folder, with what the worker has installed. "
        "Files keep their executable bit; a script can be given to its interpreter instead.",
        lines=told,
    )


def _exited(case: Case) -> Finding:
    said = last_paragraph(case.lines)
    hint = f"What it did before stands in its log: fitq runs logs {case.run.id}"
    if case.exit_code == 1 and said and case.run.command is None:  # sys.exit("text") prints and exits 1
        message = f"The script exited with code 1. Its last line: {said[-1][:300]}"
        return Finding("exited", message, hint)
    what = "command" if case.run.command is not None else "script"
    empty = "" if ending(case.lines) else " It printed nothing."
    return Finding("exited", f"The {what} exited with code {case.exit_code}.{empty}", hint)
