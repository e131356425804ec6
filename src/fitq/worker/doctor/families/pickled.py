"""A pickled file that other versions wrote."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {
    "version_mismatch": "A script, a file or a compiled package needs another version than was installed."
}

_SAID = re.compile(
    r"No module named '(?:numpy\._core|sklearn\.\w+\._?\w+|pandas\.core\.indexes\.\w+)|"
    r"Can't get attribute '\w{1,100}' on <module '(?:sklearn|numpy|pandas|scipy|xgboost|lightgbm)|"
    r"incompatible dtype|unsupported pickle protocol|__randomstate_ctor|is not a known BitGenerator|"
    r"invalid load key|__setstate__|unpickle"
)
_READS = re.compile(r"\w*load\w*\(|read_pickle\(|Unpickler")
_READERS = ("/pickle.py", "/joblib/numpy_pickle.py", "/cloudpickle/", "/dill/")
_WATCHED = ("scikit-learn", "numpy", "scipy", "pandas", "joblib")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """Classes that have moved, and contents that newer or older code does not understand."""
    reads = any(part in f.file for f in trace.frames for part in _READERS)
    frame = case.frame_of(trace)
    reads = reads or (frame is not None and bool(_READS.search(frame.code[:500])))
    if not reads or not _SAID.search(trace.text[:3000]):
        return None
    return Finding(
        "version_mismatch",
        f"A pickled file does not fit the versions that are installed: {trace.first_line[:300]}",
        "A pickle is only right in the versions that wrote it. Install those (a model's are shown by "
        "fitq models show), or write the file again with the versions of this run.",
        packages=_WATCHED,
    )
