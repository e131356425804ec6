"""Who may come in: a known `Host`, and a bearer token on everything that is not open or a page.

Written as plain ASGI: it stands before every request and needs nothing of the body.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fitq.api.responses import error_response, request_id_of
from fitq.credentials import bearer, same_secret
from fitq.errors import FitqError, Forbidden, Unauthorized
from fitq.settings import Settings

#: Answered without a token: they tell nothing but whether we live.
_OPEN = ("/healthz", "/readyz", "/metrics")
#: What a token opens. Everything else is a page of the dashboard, which has sessions of its own.
_TOKEN = ("/v1/", "/openapi.json", "/docs")


class Gate:
    """Middleware: checks `Host` and token, and gives every answer its request id."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._token, self._scaler_token = settings.token, settings.scaler_token
        self._hosts = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = request_id_of(request)
        problem = self._problem(request)
        if problem is not None:
            await error_response(request, problem)(scope, receive, send)
            return

        async def send_with_id(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                assert isinstance(headers, list)
                if not any(name == b"x-request-id" for name, _ in headers):
                    headers.append((b"x-request-id", request_id.encode("latin-1")))
            await send(message)

        await self._app(scope, receive, send_with_id)  # type: ignore[arg-type]  # the ASGI send shape

    def _problem(self, request: Request) -> FitqError | None:
        host = (request.headers.get("host") or "").lower()
        if "*" not in self._hosts and _without_port(host) not in self._hosts:
            return Forbidden(
                f"This server does not answer to the name {host[:100]!r}.",
                hint="Add it to FITQ_ALLOWED_HOSTS if it is yours.",
            )
        path = request.url.path
        if path in _OPEN or not path.startswith(_TOKEN):
            return None
        given = bearer(request.headers.get("authorization"))
        if same_secret(given, self._token):
            return None
        if same_secret(given, self._scaler_token):
            return (
                None
                if _reads_a_pool(request)
                else Forbidden(
                    "This token reads pools and opens nothing else.", hint="Send the platform's token."
                )
            )
        return Unauthorized("The token is not valid." if given else "There is no token.")


def _reads_a_pool(request: Request) -> bool:
    return request.method in ("GET", "HEAD") and request.url.path.startswith("/v1/pools/")


def allowed_hosts(settings: Settings) -> set[str]:
    """Names we answer to: the configured ones, and those of our own addresses."""
    own = (urlsplit(url).hostname or "" for url in (settings.url, settings.scoring_url))
    listed = (name.strip().lower() for name in settings.allowed_hosts.split(","))
    return {name for name in (*own, *listed) if name}


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
