"""The client side needs fitq's own requirements; a run's environment may lack them."""

import importlib
import sys
from typing import Any

_OLDEST = (3, 11)


def load(module: str, name: str) -> Any:
    """A name of fitq's SDK.

    Raises:
        ImportError: this interpreter is too old for the client, or lacks its packages; says what works.
    """
    if sys.version_info < _OLDEST:
        raise ImportError(
            "%s submits to the platform, which needs Python %d.%d or newer; in a run only Run is there"
            % ((name,) + _OLDEST)
        )
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as exc:
        raise ImportError(
            "%s submits to the platform, which needs fitq's packages here: pip install fitq (%s)"
            % (name, exc)
        ) from exc
