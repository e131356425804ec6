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
        array: NDArray[Any] = np.ndarray(spec["shape"], spec["dtype"], data, offset)
        yield array
        offset += array.nbytes
