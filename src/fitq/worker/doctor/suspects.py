"""Which of the tracebacks in a log ended the run.

A log also has tracebacks that were caught and printed, or that a destructor left behind. The one that
counts ended the interpreter; or, when the script caught it, printed it and exited, it stands at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from fitq.worker.doctor.trace import Trace, read_traces

_NOISE = ("Exception ignored in", "Exception ignored while")
_LINES_AFTER = 10  #: a script that exits because of an exception it printed says little after it


def suspects_in(lines: Sequence[str], exit_code: int, *, is_command: bool = False) -> list[Trace]:
    """Exceptions that may be why a process exited with a code other than 0, the likeliest first.

    Of exceptions that were raised `from` others the first cause comes first; one that was raised while
    another was handled comes before that one.
    """
    traces = [t for t in read_traces(lines) if not t.before.startswith(_NOISE)]
    if not traces:
        return []
    may_be_uncaught = exit_code == 1 or is_command
    uncaught = [n for n, t in enumerate(traces) if t.is_uncaught] if may_be_uncaught else []
    if uncaught:
        last = uncaught[-1]
        inside = traces[last + 1 :]  # tracebacks in its own message
        return [*reversed(inside), *_chain(traces, last)]
    if len(lines) - traces[-1].end > _LINES_AFTER:
        return []
    return _chain(traces, len(traces) - 1)


def _chain(traces: Sequence[Trace], last: int) -> list[Trace]:
    """An exception with its causes and contexts, then that of a program it called."""
    groups: list[list[Trace]] = [[traces[last]]]
    n = last
    while traces[n].link and n > 0:
        if traces[n].link == "cause":
            groups[-1].insert(0, traces[n - 1])
        else:
            groups.append([traces[n - 1]])
        n -= 1
    chain = [trace for group in groups for trace in group]
    if traces[last].short_name == "CalledProcessError" and n > 0:
        chain = [*_chain(traces, n - 1), *chain]
    return chain


def ending(lines: Sequence[str]) -> list[str]:
    """The last lines that say something, at most twelve."""
    said = [line for line in lines if line.strip()]
    return said[-12:]


def last_paragraph(lines: Sequence[str]) -> list[str]:
    """The lines at the end up to an empty one."""
    backwards = list(reversed([line.rstrip() for line in lines]))
    while backwards and not backwards[0]:
        backwards.pop(0)
    return list(reversed(list(takewhile(bool, backwards[:12]))))
