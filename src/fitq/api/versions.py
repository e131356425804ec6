"""Versions over HTTP: of what is kept, and of the programs that are alive."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response

from fitq import __version__, formats, pools
from fitq.api.responses import backend_of, json_response, serving_of


def get_versions(request: Request) -> Response:
    """`GET /v1/versions`: the bucket's format, and which versions of fitq work on it."""
    backend = backend_of(request)
    found = formats.agree(backend.objects, backend.keys)
    workers = Counter(w.fitq or "unknown" for w in pools.live_workers(backend))
    return json_response(
        {
            "format": found.format,
            "written_by": found.written_by,
            "understood": formats.FORMAT,
            "api": __version__,
            "scheduler": _of_leader(backend.state.leader()),
            "scoring": serving_of(request).version(),
            "workers": dict(workers),
        }
    )


def _of_leader(leader: str | None) -> str | None:
    """What the scheduler that leads says of itself; None if none leads."""
    return None if leader is None else leader.partition(" ")[2] or "unknown"
