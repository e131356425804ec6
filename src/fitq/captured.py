"""Rules of models that were captured: of a run whose script keeps none, the one that its `fit` made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from fitq.errors import NotFound
from fitq.records import Registration

CAPTURED_MODEL = "captured/model.joblib"  #: see worker/shims/fitq_capture.py
_ROWS_BYTES = 4_000_000
RegistrationT = TypeVar("RegistrationT", bound=Registration)


def with_captured_rows(request: RegistrationT, path: str, read: Callable[[str], bytes]) -> RegistrationT:
    """For a model that was captured: the rows that its `fit` saw, where nobody gave others."""
    if path != CAPTURED_MODEL or request.sample_input is not None:
        return request
    with contextlib.suppress(OSError, NotFound, msgspec.MsgspecError, UnicodeDecodeError):
        seen = msgspec.json.decode(read("captured/fit.json"))
        rows = seen.get("rows") if isinstance(seen, dict) else None
        if isinstance(rows, list) and rows:
            return msgspec.structs.replace(request, sample_input=rows)
    return request


def fit_beside(file: Path) -> bytes:
    """What the captured model's file has beside it, which a script may have replaced by a link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(file.with_name("fit.json"), flags), "rb") as told:
        return told.read(_ROWS_BYTES)
