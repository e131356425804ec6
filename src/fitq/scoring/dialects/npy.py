"""`application/x-npy`: rows as one array in numpy's own file format, and the answer likewise."""

from __future__ import annotations

import io
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitq.errors import InvalidRequest
from fitq.schema import ArraySchema
from fitq.scoring.dialects.arrays import as_array
from fitq.scoring.dialects.form import Input, Table

#: What numpy raises for a file that is none; the header is Python, and so are the names of types in it.
_REFUSED = (
    ValueError, OSError, EOFError, TypeError, MemoryError, OverflowError, TokenError, SyntaxError,
)  # fmt: skip


def _read(body: bytes, _: ArraySchema, __: str) -> Input:
    """Rows of an array of shape (n, width), or of shape (n,) whose fields are the columns.

    Raises:
        InvalidRequest: not an array file, one of Python objects, or of texts that are no Unicode.
    """
    try:
        # Not np.load: that also opens zip archives.
        array = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
        # Without a byte of its own a row costs the sender nothing: 100 bytes may say "a billion rows".
        rows: Any = array if array.nbytes else []
        _check_texts(array)
    except _REFUSED as exc:
        raise InvalidRequest(
            "The body is not an array in .npy format.",
            hint="Write it with numpy.save(file, rows, allow_pickle=False).",
            expected="an array of shape (rows, columns)",
            got=str(exc)[:200],
            at="$",
        ) from exc
    if array.dtype.names and array.ndim == 1:
        return Input([list(row) for row in array.tolist()], "$", list(array.dtype.names))
    return Input(rows, "$")


def _check_texts(array: NDArray[Any]) -> None:
    """numpy keeps any 32 bits as a character; strings of Python, and JSON, do not.

    Raises:
        ValueError: one is none.
    """
    for part in [array[name] for name in array.dtype.names or ()] or [array]:
        if part.dtype.names:
            raise ValueError("fields of fields")
        if part.dtype.kind == "U" and part.size:
            codes = np.ascontiguousarray(part).view(np.dtype("u4").newbyteorder(part.dtype.byteorder))
            if (codes > 0x10FFFF).any() or ((codes >= 0xD800) & (codes < 0xE000)).any():
                raise ValueError("a text with something in it that is no character")


def _write(predictions: Any) -> bytes:
    """The predictions as an array file; texts are of fixed width, one that is missing is empty."""
    array = as_array(predictions)
    if array.dtype == object:
        array = np.where(array == None, "", array).astype(str)  # noqa: E711  # element by element
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


TABLE = Table("application/x-npy", _read, _write)
