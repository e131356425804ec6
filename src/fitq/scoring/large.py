"""Large bodies of numbers, read without making a Python object of each number.

The numbers of a JSON body that stand together, `[[…], …]` or the flat `"data": […]` of a tensor, are taken
out of it as one array; what is left is a small body, decoded as every other. Only what is plainly a list of
numbers is taken out, so nothing is accepted here that is refused otherwise, and whoever gets None reads the
body as usual.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import msgspec
import numpy as np
import simdjson
from numpy.typing import NDArray

from fitq.twice import refuse_twice

#: Below this, decoding as usual is as quick.
LARGE_BYTES = 2000
#: Stands where the numbers stood; no caller can know it, so no caller can put something in their place.
_MARK = secrets.token_hex(16)
_PARSER = simdjson.Parser()
_IN_NUMBERS = b"0123456789.eE+- \t\r\n"
_ROWS, _ROWS_END = re.compile(rb"\[\s*\["), re.compile(rb"\]\s*\]")
_FLAT = re.compile(rb'"data"\s*:\s*(\[)')


def decode(body: bytes) -> Any:
    """The decoded body, with its numbers as one float64 array of shape (n, width) or (n,).

    None if the body is not that plain. Integers of 2**53 and more may have been rounded.

    Raises:
        InvalidRequest: a field stands in it twice.
    """
    start, end = _numbers(body)
    text = body[start:end]
    shape = _shape(text)
    if shape is None:
        return None
    try:
        found: Any = _PARSER.parse(text)
        numbers = np.frombuffer(found.as_buffer(of_type="d")).reshape(shape)
        around = b'%s"%s"%s' % (body[:start], _MARK.encode(), body[end:])
        rest = msgspec.json.decode(around)
        refuse_twice(around, rest)
        return _put_back(rest, numbers)
    except (ValueError, TypeError, RuntimeError, RecursionError):  # not as many numbers, or no JSON
        return None


def _numbers(body: bytes) -> tuple[int, int]:
    """Where in a body the numbers may be: the first rows in it, or else the first flat `data`."""
    rows = _ROWS.search(body)
    if rows is not None:
        end = _ROWS_END.search(body, rows.start())
        return rows.start(), end.end() if end else 0
    flat = _FLAT.search(body)
    return (flat.start(1), body.find(b"]", flat.start(1)) + 1) if flat else (0, 0)


def _shape(text: bytes) -> tuple[int, ...] | None:
    """The shape of a list of numbers, or of rows that are equally long; None if it is another thing.

    Without its numbers such a list is nothing but brackets and commas, and those can be told beforehand.
    """
    frame = text.translate(None, _IN_NUMBERS)
    if frame == b"[" + b"," * (len(frame) - 2) + b"]":
        return (len(frame) - 1,)
    row = frame[1 : frame.find(b"]") + 1]
    count = len(frame) // (len(row) + 1)
    if row == b"[" + b"," * (len(row) - 2) + b"]" and frame == b"[" + b",".join([row] * count) + b"]":
        return (count, len(row) - 1)
    return None


def _put_back(rest: Any, numbers: NDArray[np.float64]) -> Any:
    if rest == _MARK:
        return numbers
    if isinstance(rest, dict):
        return {name: _put_back(value, numbers) for name, value in rest.items()}
    if isinstance(rest, list):
        return [_put_back(value, numbers) for value in rest]
    return rest
