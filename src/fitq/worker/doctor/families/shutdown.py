"""Work that was started while the interpreter was already ending."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"interpreter_shutdown": "Work was given to threads or pools when Python was already ending."}

_TOLD = re.compile(
    r"after (?:interpreter )?shutdown|at interpreter shutdown|sys\.meta_path is None|is likely shutting down"
)


def recognise(case: Case, trace: Trace) -> Finding | None:
    """Pools and threads used from atexit, destructors or threads that outlive the script."""
    if trace.short_name not in ("RuntimeError", "ImportError", "PythonFinalizationError"):
        return None
    if not _TOLD.search(trace.text[:1000]):
        return None
    return Finding(
        "interpreter_shutdown",
        trace.sentence,
        "The script ended while work was still being handed out: wait for it before the last line (join "
        "threads, `with` around executors), and do nothing heavy in atexit or __del__.",
    )
