"""The platform that commands talk to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fitq.sdk.client import Client


@contextlib.contextmanager
def platform() -> Iterator[Client]:
    """A client of the platform that FITQ_URL or the nearest configuration names.

    Raises:
        NotFound: neither names one.
        Unavailable: it does not answer; says where its address came from.
    """
    with Client.from_config() as client:
        yield client
