"""Something the run's user may not do."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"permission_denied": "The run's user may not read, write or do that."}

_PATH = re.compile(r"\[Errno (?:1|13|30)\] [^:]{1,100}: '(?P<path>[^']{1,1000})'")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """PermissionError, and a file system that is read-only."""
    if trace.short_name != "PermissionError" and "[Errno 30]" not in trace.text:
        return None
    found = _PATH.search(trace.text[:3000])
    what = f" ({case.shorten(found['path'])})" if found else ""
    return Finding(
        "permission_denied",
        f"{trace.first_line.partition(': ')[0] or 'Permission denied'}{what}.",
        "A run may write in its own folder: to ./outputs what is to be kept, to tempfile's what is not. "
        "Ports below 1024, other users' files and system folders are closed to it.",
    )
