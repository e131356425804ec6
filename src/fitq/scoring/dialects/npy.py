"""`application/x-npy`: rows as one array in numpy's own file format, and the answer likewise."""

from __future__ import annotations

import io
from tokenize import TokenError
from typing import Any

import numpy as np

from fitq.errors import InvalidRequest
from fitq.scoring.dialects.form import Input

MEDIA_TYPE = "application/x-npy"


def read(body: bytes) -> Input:
    """Rows of an array of shape (n, width).

    Raises:
        InvalidRequest: not an array file, or one of Python objects.
    """
    try:
        # Not np.load: that also opens zip archives.
        array = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
        # Without a byte of its own a row costs the sender nothing: 100 bytes may say "a billion rows".
        rows: Any = array if array.nbytes else []
    except (ValueError, OSError, EOFError, TypeError, MemoryError, OverflowError, TokenError) as exc:
        raise InvalidRequest(
            "The body is not an array in .npy format.",
            hint="Write it with numpy.save(file, rows, allow_pickle=False).",
            expected="an array of shape (rows, columns)",
            got=str(exc)[:200],
            at="$",
        ) from exc
    return Input(rows, "$")


def write(predictions: Any) -> bytes:
    """The predictions as an array file; texts as numpy's fixed-width strings."""
    out = io.BytesIO()
    try:
        array = np.asarray(predictions)
    except ValueError:  # several outputs of different widths
        array = np.asarray([str(p) for p in predictions])
    if array.dtype == object:
        array = array.astype(str)
    np.save(out, array, allow_pickle=False)
    return out.getvalue()
