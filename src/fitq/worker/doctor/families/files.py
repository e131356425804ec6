"""A file that is not where the script looks for it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"file_missing": "A file is not where the script looks for it."}

_PATHS = (
    re.compile(
        r"\[(?:Errno|WinError) \d+\] [^:]{1,200}: (?P<path>'(?:[^'\\]|\\.){1,1000}'|\"[^\"]{1,1000}\")"
    ),
    re.compile(r"(?P<path>\S{1,500}) not found\.?$"),  # numpy
    re.compile(r"File (?P<path>.{1,500}) does not exist"),  # pandas before 1.2, h5py
    re.compile(r"No such file or directory: (?P<path>.{1,500})$"),
)
#: Where people's own files live, on their own machines.
_ELSEWHERE = re.compile(
    r"(?:[A-Za-z]:[\\/]|\\\\|/home/|/Users/|/root/|/mnt/|/media/|/data/|/content/|/kaggle/|/dbfs/|~)"
)


def recognise(case: Case, trace: Trace) -> Finding | None:
    """FileNotFoundError and those that say the same in other words."""
    missing = trace.short_name in ("FileNotFoundError", "NotADirectoryError")
    if not missing and not ("does not exist" in trace.text and trace.short_name == "OSError"):
        return None
    path = case.shorten(_path_in(trace.text[:3000]))
    if not path:
        return Finding("file_missing", trace.sentence, _GENERAL)
    return Finding("file_missing", f"There is no file '{path}'.", _hint(case, path))


def _path_in(text: str) -> str:
    for pattern in _PATHS:
        found = pattern.search(text.splitlines()[0] if text else "")
        if found:
            return found["path"].strip().strip("'\"").replace("\\\\", "\\")
    return ""


_GENERAL = (
    "Is the file part of the snapshot? Relative paths start at the snapshot's root, where the run starts."
)


def _hint(case: Case, path: str) -> str:
    near = case.listing.near(path.replace("\\", "/"))
    meant = f" The snapshot has {' and '.join(near)}: paths start at its root." if near else ""
    if _ELSEWHERE.match(path):
        return (
            "That is a place on somebody's own machine; a run sees only its snapshot. Put the file beside "
            f"the script, name it relative to there, or pass its place as an argument.{meant}"
        )
    if near:
        return f"Was another file meant?{meant}"
    inside = path.removeprefix("./")
    rule = case.listing.ignored_by(inside) if not path.startswith("/") else ""
    if rule:
        return (
            f"It was left out of the snapshot by {rule}. Add a line !{inside} to that file, and submit again."
        )
    folder = PurePosixPath(inside).parent
    if str(folder) not in (".", "/") and not path.startswith("/") and not _has_folder(case, str(folder)):
        return f"There is no folder {str(folder)!r} either: make it with os.makedirs, or send it. {_GENERAL}"
    return _GENERAL


def _has_folder(case: Case, folder: str) -> bool:
    return any(f.startswith(f"{folder}/") for f in case.listing.files) or folder == "outputs"
