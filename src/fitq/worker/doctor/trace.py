"""Python tracebacks, read back from the text that an interpreter or a logger wrote.

Any Python from 3.6 on, exception groups and the tracebacks inside a message (joblib and GridSearchCV put
them there) included. Reading never fails: what is no traceback is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_HEADER = "Traceback (most recent call last):"
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_FRAME = re.compile(r' +File "(?P<file>[^"]+)", line (?P<line>\d{1,9})(?:, in (?P<function>.+))?')
_PLACE = re.compile(
    r' +File "[^"]+", line \d{1,9}$'
)  #: of a script that does not compile: there is no header
_PLACE_LINES = 6
_EXCEPTION = re.compile(r"(?P<name>[^\W\d][\w.<>]*)(?:: ?(?P<text>.*))?")
_MARGIN = re.compile(r"^ {0,40}[|+][ +|-]?")  #: what exception groups draw before their lines
_MARKS = re.compile(r"[\s~^]*")
_WITHOUT_HEADER = ("SyntaxError", "IndentationError", "TabError")
_LINE_CHARACTERS = 2000
_TEXT_LINES = 40


@dataclass(frozen=True)
class Frame:
    """One place on the stack."""

    file: str
    line: int
    function: str = ""  #: empty for the place of a syntax error
    code: str = ""  #: the source line, if it could be read


@dataclass(frozen=True)
class Trace:
    """One exception as it was printed."""

    name: str  #: qualified, without `builtins`: `numpy.exceptions.AxisError`
    text: str  #: its message; may have many lines
    frames: tuple[Frame, ...] = ()  #: outermost first
    start: int = 0  #: line at which its traceback starts
    end: int = 0  #: line that names the exception
    link: str = ""  #: how the one before belongs to it: "cause" (raise … from), "context", or not at all
    before: str = ""  #: the line above its traceback

    @property
    def short_name(self) -> str:
        """`AxisError`."""
        return self.name.rpartition(".")[2]

    @property
    def first_line(self) -> str:
        """The first line of its message that says something."""
        return next((ln.strip() for ln in self.text.splitlines() if ln.strip()), "")

    @property
    def sentence(self) -> str:
        """As the interpreter shows it, on one line."""
        return f"{self.short_name}: {self.first_line}" if self.first_line else self.short_name

    @property
    def is_uncaught(self) -> bool:
        """Whether its stack starts where a program starts, as when it ended the interpreter."""
        return bool(self.frames) and self.frames[0].function in ("<module>", "_run_module_as_main", "")


def read_traces(lines: Sequence[str]) -> list[Trace]:
    """All tracebacks in a log, in order."""
    traces: list[Trace] = []
    clean = [_MARGIN.sub("", ln[:_LINE_CHARACTERS], count=1) for ln in lines]
    n = 0
    while n < len(clean):
        trace = _read(clean, n)
        if trace is not None:
            traces.append(_linked(trace, traces, clean))
        n = trace.end + 1 if trace is not None else n + 1
    return [_with_text(trace, clean) for trace in traces]


def _read(lines: Sequence[str], start: int) -> Trace | None:
    has_header = lines[start].endswith(_HEADER)
    if not has_header and not _PLACE.match(lines[start]):
        return None
    last = len(lines) if has_header else min(len(lines), start + _PLACE_LINES)
    frames: list[Frame] = []
    for n in range(start + has_header, last):
        line = lines[n]
        found = _FRAME.match(line)
        if line.endswith(_HEADER):
            return None  # cut off by another
        elif found:
            frames.append(Frame(found["file"], int(found["line"]), found["function"] or ""))
        elif line.startswith(" "):
            frames = _with_code(frames, line)
        else:
            return _ended(line, frames, start, n, has_header=has_header)
    return None


def _with_code(frames: list[Frame], line: str) -> list[Frame]:
    if not frames or frames[-1].code or _MARKS.fullmatch(line):
        return frames
    return [*frames[:-1], replace(frames[-1], code=line.strip())]


def _ended(line: str, frames: list[Frame], start: int, end: int, *, has_header: bool) -> Trace | None:
    found = _EXCEPTION.fullmatch(line.rstrip())
    if found is None or not (has_header or found["name"] in _WITHOUT_HEADER):
        return None
    return Trace(found["name"], found["text"] or "", tuple(frames), start, end)


def _linked(trace: Trace, earlier: list[Trace], lines: Sequence[str]) -> Trace:
    above = [ln.strip() for ln in lines[max(0, trace.start - 3) : trace.start] if ln.strip()]
    before = above[-1] if above else ""
    link = {_CAUSE: "cause", _CONTEXT: "context"}.get(before, "") if earlier else ""
    return replace(trace, link=link, before=before)


def _with_text(trace: Trace, lines: Sequence[str]) -> Trace:
    """Its message with the lines that follow the first, as far as they can be told from other output."""
    text = [trace.text]
    for line in lines[trace.end + 1 : trace.end + _TEXT_LINES]:
        if line.strip().endswith((_HEADER, _CAUSE, _CONTEXT)) or line.startswith('"""'):
            break
        text.append(line)
    return replace(trace, text="\n".join(text).rstrip())
