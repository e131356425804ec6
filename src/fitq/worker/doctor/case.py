"""What the doctor looks at, and what it finds."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fitq.records import RunRecord
from fitq.worker.doctor.listing import Listing
from fitq.worker.doctor.suspects import suspects_in
from fitq.worker.doctor.trace import Frame, Trace
from fitq.worker.watch import Ended

_FOREIGN = ("site-packages/", "dist-packages/", "/lib/python", "<", "/fitq/worker/", "/fitq/context.py")


@dataclass(frozen=True)
class Finding:
    """Why a run failed, by the family that recognised it."""

    kind: str
    message: str
    hint: str
    lines: list[str] = field(default_factory=list)  #: empty: the exception's, or the log's last
    packages: tuple[str, ...] = ()  #: whose versions explain it


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run that failed, as far as it can be read: the doctor asks nobody and changes nothing."""

    run: RunRecord
    exit_code: int  #: negative: ended by that signal
    lines: tuple[str, ...] = ()  #: the last lines of the attempt's own log, oldest first
    ended: Ended = Ended.EXITED
    code: Path = Path("/nonexistent")  #: the folder that the snapshot was unpacked in
    functions: Path | None = None  #: the folder of training functions

    @functools.cached_property
    def suspects(self) -> list[Trace]:
        """The exceptions that may be the reason, the likeliest first."""
        return suspects_in(self.lines, self.exit_code, is_command=self.run.command is not None)

    @property
    def last(self) -> Trace:
        """The exception that was told last; there has to be one."""
        return max(self.suspects, key=lambda t: t.end)

    @functools.cached_property
    def listing(self) -> Listing:
        """The files of the snapshot."""
        return Listing(self.code)

    def version(self, package: str) -> str:
        """The version that the run had of a package; empty if it had none, or nobody knows."""
        return self.run.versions.packages.get(package, "")

    def frame_of(self, trace: Trace) -> Frame | None:
        """The last place in the user's own files; also that of a suspect which says the same elsewhere."""
        alike = [t for t in self.suspects if t.sentence == trace.sentence]
        for candidate in (*alike, trace, *self.suspects):
            frames = self._own(candidate.frames)
            if frames:
                return frames[-1]
        return None

    def _own(self, frames: Iterable[Frame]) -> list[Frame]:
        below = tuple(f"{folder}/" for folder in (self.code, self.functions) if folder)
        inside = [f for f in frames if f.file.startswith(below) and "site-packages/" not in f.file]
        return inside or [f for f in frames if not any(part in f.file for part in _FOREIGN)]

    def shorten(self, text: str) -> str:
        """Text without the worker's own folders in its paths."""
        for folder in (self.code, self.functions):
            text = text.replace(f"{folder}/", "") if folder else text
        return text

    def place(self, trace: Trace) -> str:
        """`train.py:12`; empty if nothing of the user's own was on the stack."""
        frame = self.frame_of(trace)
        return f"{self.shorten(frame.file)}:{frame.line}" if frame else ""

    def decisive(self, trace: Trace) -> list[str]:
        """The user's own last line and the exception, as a traceback shows them."""
        frame = self.frame_of(trace)
        shown = []
        if frame is not None:
            function = f", in {frame.function}" if frame.function else ""
            shown.append(f'  File "{self.shorten(frame.file)}", line {frame.line}{function}')
            shown += [f"    {frame.code}"] if frame.code else []
        text = [ln for ln in self.shorten(trace.text).splitlines() if ln.strip()][:3]
        return [*shown, f"{trace.name}: {text[0]}" if text else trace.name, *text[1:]]
