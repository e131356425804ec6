"""How bytes that somebody made leave the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse


def download(pieces: Any, name: str, size_bytes: int | None = None) -> Response:
    """Bytes that a browser saves and never opens."""
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    if size_bytes is not None:
        headers["content-length"] = str(size_bytes)
    return StreamingResponse(pieces, headers=headers, media_type="application/octet-stream")
