"""The headers on every answer of the dashboard: what a page may load, and that nobody may frame it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
#: For bytes that a run made: even opened in a tab they can do nothing.
SANDBOX = "default-src 'none'; sandbox"
_STATIC_SECONDS = 31_536_000


class SafeHeaders:
    """Adds them around the whole application, so that error pages have them too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(scope=message), scope)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _add(headers: MutableHeaders, scope: Scope) -> None:
    headers.setdefault("content-security-policy", CONTENT_POLICY)
    headers["x-content-type-options"] = "nosniff"
    headers["referrer-policy"] = "no-referrer"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["cross-origin-resource-policy"] = "same-origin"
    # The address of a static file carries its hash; everything else is of this moment and this session.
    is_static = scope.get("path", "").startswith("/static/") and scope.get("query_string")
    headers["cache-control"] = f"public, max-age={_STATIC_SECONDS}, immutable" if is_static else "no-store"
