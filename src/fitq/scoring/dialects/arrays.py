"""Predictions as one array, for formats that are made of those."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitq.scoring.answers import to_json

_EXACT_BELOW = 2**53  #: as a float64


def as_array(predictions: Any) -> NDArray[Any]:
    """Predictions as numbers, truth values or texts.

    Rows of differing widths become JSON texts. A number that is missing becomes nan; among texts it stays
    None, in an array of objects.

    Args:
        predictions: an array or a list, one entry per row.
    """
    try:
        array = np.asarray(predictions)
    except ValueError:  # rows of differing widths
        return np.asarray([_text(p) for p in predictions])
    if array.dtype != object:
        return array
    values = array.ravel().tolist()
    if all(v is None or _is_exact(v) for v in values):
        return array.astype(np.float64)
    texts = np.empty(len(values), dtype=object)
    texts[:] = [_text(v) for v in values]
    return texts.reshape(array.shape)


def _is_exact(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < _EXACT_BELOW)


def _text(value: Any) -> str | None:
    """A text as it is, nothing as nothing, all else as JSON."""
    return value if value is None or isinstance(value, str) else to_json(value).decode()
