"""Why a run failed, read from its exit code and the last lines of its log."""

from __future__ import annotations

import re
import signal

from fitq.records import Failure, RunRecord

_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning))(?::\s?(.*))?$")


def diagnose(run: RunRecord, exit_code: int, lines: list[str]) -> Failure:
    """The failure of a process that ended by itself with `exit_code` ≠ 0.

    Args:
        exit_code: negative when a signal ended it.
        lines: the last lines of its log, oldest first.
    """
    if exit_code < 0:
        return _killed(-exit_code, lines)
    kind, message, hint = _from_exception(run, lines) or _from_exit(run, exit_code)
    return Failure(kind=kind, message=message, lines=lines[-12:], hint=hint, exit_code=exit_code)


def _killed(number: int, lines: list[str]) -> Failure:
    name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
    crashed = number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
    return Failure(
        kind="segfault" if crashed else "killed",
        message=f"The process was ended by {name}.",
        lines=lines[-12:],
        hint="A compiled package crashed; the log ends with the Python stack at that moment."
        if crashed
        else "Somebody, or the machine running out of memory, killed it from outside.",
        exit_code=-number,
    )


def _from_exception(run: RunRecord, lines: list[str]) -> tuple[str, str, str] | None:
    for line in reversed(lines[-30:]):
        match = _EXCEPTION.match(line.strip())
        if match:
            name, text = match[1].rpartition(".")[2], match[2] or ""
            return _kind_of(run, name, text), line.strip()[:500], _hint_for(run, name, text)
    return None


def _kind_of(run: RunRecord, name: str, text: str) -> str:
    del run, text
    return {
        "ModuleNotFoundError": "import_error",
        "ImportError": "import_error",
        "SyntaxError": "syntax_error",
        "IndentationError": "syntax_error",
        "FileNotFoundError": "file_missing",
        "MemoryError": "out_of_memory",
    }.get(name, "user_error")


def _hint_for(run: RunRecord, name: str, text: str) -> str:
    if name == "ModuleNotFoundError":
        module = text.rpartition("'")[0].rpartition("'")[2]
        return f"Package {module!r} is not installed where this run executed; see versions of the run."
    if name == "FileNotFoundError":
        return "Is the file part of the snapshot? Ignore files are honoured; paths start at its root."
    if name == "AttributeError" and ("numpy" in text or "sklearn" in text):
        return "The installed version may no longer have it; see versions of the run."
    return f"The whole log: fitq runs logs {run.id}"


def _from_exit(run: RunRecord, exit_code: int) -> tuple[str, str, str]:
    if exit_code == 2 and run.script:
        return (
            "argument_error",
            "The script exited with code 2, which argparse does for wrong arguments.",
            f"It was given: {' '.join(run.arguments) or 'no arguments'}",
        )
    if exit_code == 127:
        return "user_error", "The program was not found.", "Look at the command of the run."
    return "user_error", f"The script exited with code {exit_code}.", f"fitq runs logs {run.id}"
