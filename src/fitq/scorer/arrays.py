"""Arrays as they come over the socket pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def arrays_in(described: Mapping[str, Any], data: bytes) -> Iterator[NDArray[Any]]:
    """The arrays of an answer, without a copy; `described` is the child's header with `arrays`."""
    offset = 0
    for spec in described["arrays"]:
        dtype, shape = np.dtype(spec["dtype"]), tuple(spec["shape"])
        count = int(np.prod(shape))
        yield np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += count * dtype.itemsize
