"""Is the service in this container well? `python -m services.health api`: exit 0, or a sentence and exit 1.

The images hold no curl; this is what every HEALTHCHECK runs.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from fitq.errors import FitqError, Unavailable
from fitq.settings import Settings

_SECONDS = 4.0


def api(settings: Settings) -> None:
    """The API answers and reaches both stores."""
    _ready(settings.api_port, settings.url)


def scoring(settings: Settings) -> None:
    """Scoring answers and reaches the object store."""
    _ready(settings.scoring_port, settings.scoring_url)


def worker(settings: Settings) -> None:
    """A worker on this host has reported to its pool lately, so it reaches Redis and its threads live."""
    from fitq import pools  # two services have no queue to look at
    from fitq.backend import open_backend

    here = socket.gethostname()
    alive = pools.live_workers(open_backend(settings))
    if not any(w.id.rpartition("-")[0] == here and w.pool == settings.pool for w in alive):
        raise Unavailable(f"No worker of pool {settings.pool!r} on {here} has reported lately.")


def scheduler(settings: Settings) -> None:
    """Some scheduler leads and reaches Redis; this one may be waiting to take over."""
    from fitq.backend import open_backend

    if open_backend(settings).state.leader() is None:
        raise Unavailable("No scheduler leads.")


def _ready(port: int, url: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        # A program answers to the names it was given, and its own public one is always among them.
        connection.request("GET", "/readyz", headers={"Host": urlsplit(url).netloc})
        answer = connection.getresponse()
        body = answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as exc:
        raise Unavailable(f"Nothing answers on port {port}: {exc}") from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise Unavailable(f"/readyz answers {answer.status}: {body}")


CHECKS: dict[str, Callable[[Settings], None]] = {
    "api": api,
    "scheduler": scheduler,
    "scoring": scoring,
    "worker": worker,
}

if __name__ == "__main__":
    try:
        CHECKS[sys.argv[1]](Settings.from_environment(os.environ))
    except FitqError as exc:
        sys.exit(str(exc))
