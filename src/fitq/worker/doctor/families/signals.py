"""A signal ended it: from outside, or because compiled code crashed."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from fitq.units import format_bytes
from fitq.worker.doctor.case import Case, Finding

KINDS = {
    "killed": "A signal from outside ended the process.",
    "segfault": "Compiled code crashed: a segmentation fault, an abort, an illegal instruction.",
    "out_of_memory": "It used more memory than it was granted, or than there was.",
    "interpreter_shutdown": "Work was given to threads or pools when Python was already ending.",
}
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS")
_STACK_LINE = re.compile(r'  File "(?P<file>[^"]+)", line \d+ in .+')
_HINTS = {
    "SIGKILL": "Nothing of fitq sent it. The kernel does when the machine runs out of memory: ask for "
    "--memory so that the run has a limit of its own, or load less at once.",
    "SIGTERM": "Nothing of fitq sent it: another process, an operator or the script itself did.",
    "SIGINT": "Something interrupted it as Ctrl-C does: another process, or the script itself.",
    "SIGXCPU": "It passed a limit of CPU time that the worker's machine sets (ulimit -t).",
    "SIGXFSZ": "It wrote a file larger than the worker's machine allows (ulimit -f).",
    "SIGPIPE": "It wrote to a pipe that nobody reads any more.",
    "SIGHUP": "Its terminal or its parent went away.",
}
_CRASH_HINT = (
    "The lines are the Python stack at that moment. Usual reasons: a package compiled against another numpy, "
    "two OpenMP libraries in one process, a fork after threads started. Run it with n_jobs=1, and compare "
    "the package's version with those it supports."
)
_SHUTDOWN = "at interpreter shutdown"


def recognise(case: Case) -> Finding | None:
    """A process, or a program that a command's shell ran, that a signal ended."""
    number = _signal_of(case)
    if number is None:
        return None
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if name in _CRASHES:
        return _crash(case, name)
    peak = case.run.usage.peak_memory_bytes
    used = f" Its largest process had {format_bytes(peak)} of memory." if peak and name == "SIGKILL" else ""
    return Finding(
        "killed", f"The process was ended by {name}.{used}", _HINTS.get(name, "Who sent it is not known.")
    )


def _signal_of(case: Case) -> int | None:
    if case.exit_code < 0:
        return -case.exit_code
    if case.run.command is not None and 128 < case.exit_code <= 128 + 64:  # as a shell tells it
        return case.exit_code - 128
    return None


def _crash(case: Case, name: str) -> Finding:
    start = next((n for n, ln in enumerate(case.lines) if ln.startswith("Fatal Python error:")), None)
    told = case.lines[start] if start is not None else ""
    stack = _stack(case, case.lines[start:] if start is not None else ())
    if any("bad_alloc" in line for line in case.lines[-30:]):
        return Finding(
            "out_of_memory",
            f"Compiled code found no more memory and ended the process ({name}).",
            "Ask for more with --memory, or load less at once.",
            lines=[*(ln for ln in case.lines[-30:] if "bad_alloc" in ln), *stack],
        )
    if _SHUTDOWN in told:
        return Finding(
            "interpreter_shutdown",
            told,
            "A daemon thread was still writing when the script ended: join threads before its end.",
            lines=[told, *stack],
        )
    hint = _CRASH_HINT
    if name == "SIGILL":
        hint = "A package was built for a newer processor than this worker has: install its generic build."
    return Finding("segfault", f"Compiled code crashed with {name}.", hint, [told, *stack] if told else [])


def _stack(case: Case, lines: Sequence[str]) -> list[str]:
    """faulthandler's stack, innermost first: where it crashed, and the user's own line that led there."""
    found = [(ln, m["file"]) for ln in lines[:200] if (m := _STACK_LINE.fullmatch(ln))]
    found = [(ln, file) for ln, file in found if "/fitq/worker/" not in file]  # that of the warm parent
    own = [ln for ln, file in found if f"{case.code}/" in file or not file.startswith("/")]
    shown = [ln for ln, _ in found[:3]]
    return [case.shorten(ln) for ln in [*shown, *(o for o in own[:1] if o not in shown)]]
