"""Who may look. A session is a signed, expiring cookie; the token itself never leaves the login form.

    cookie   <expires>.<nonce>.<HMAC-SHA256 with a key made from the token>
    csrf     HMAC over the cookie's value, in every form; a POST needs it and must come from our own pages

A new token ends all sessions, because their signatures no longer fit.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fitq.credentials import same_secret
from fitq.errors import Forbidden, InvalidRequest, TooLarge
from fitq.settings import Settings

SESSION_SECONDS = 12 * 3600
FORM_BYTES = 16_384
OPEN_PATHS = ("/login", "/static/")


class Sessions:
    """Makes and checks the cookies of one platform."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token
        self._secure = settings.url.startswith("https:")
        # Cookies do not know ports: two platforms on one machine must not sign each other out.
        place = hashlib.sha256(f"{settings.url}|{settings.workspace}".encode()).hexdigest()[:8]
        self.cookie_name = f"fitq_{place}"

    def start(self, response: Response) -> None:
        """Give the browser a new session."""
        head = f"{int(time.time()) + SESSION_SECONDS}.{secrets.token_urlsafe(12)}"
        response.set_cookie(
            self.cookie_name,
            f"{head}.{self._sign('session', head)}",
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )

    def end(self, response: Response) -> None:
        """Make the browser forget its session."""
        response.delete_cookie(self.cookie_name, httponly=True, samesite="strict", secure=self._secure)

    def of(self, request: Request) -> str:
        """The valid cookie of a request, or the empty string."""
        value = request.cookies.get(self.cookie_name, "")
        head, _, signature = value.rpartition(".")
        expires = head.partition(".")[0]
        if not self._token or not same_secret(signature, self._sign("session", head)):
            return ""
        return value if expires.isdecimal() and int(expires) > time.time() else ""

    def csrf(self, session: str) -> str:
        """What a form of this session carries."""
        return self._sign("csrf", session)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._token.encode(), f"{purpose}|{text}".encode(), "sha256").hexdigest()


class SessionGate:
    """Lets nothing through without a session, except the login page and what it looks like."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self.app = app
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS):
            return await self.app(scope, receive, send)
        request = Request(scope)
        if self.sessions.of(request):
            return await self.app(scope, receive, send)
        return await _to_login(request)(scope, receive, send)


def _to_login(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method not in ("GET", "HEAD"):
        return RedirectResponse("/login", 303)
    if request.headers.get("sec-fetch-site") == "cross-site":
        return _ask_again(here)
    return RedirectResponse("/login" if here == "/" else f"/login?next={quote(here, safe='')}", 303)


def _ask_again(here: str) -> Response:
    # A link on another site arrives without our strict cookie. Asked again from our own page, the
    # browser sends it, and nobody who is signed in sees the login form.
    address = quote(local_path(here), safe="/?&=%")
    return HTMLResponse(f'<!doctype html><meta http-equiv="refresh" content="0;url={address}">')


def local_path(text: str) -> str:
    """`text` if it is a path on this server, else `/`.

    Browsers drop control characters and read a backslash as a slash, so neither is taken.
    """
    plain = text.isprintable() and "\\" not in text
    parts = urlsplit(text) if plain else urlsplit("")
    is_local = text.startswith("/") and not text.startswith("//") and not parts.scheme and not parts.netloc
    return text if plain and is_local else "/"


def posted(
    handler: Callable[[Request, dict[str, str]], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for a form of ours: checks where it comes from, then calls `handler(request, fields)`."""

    async def endpoint(request: Request) -> Response:
        check_origin(request)
        form = await _read_form(request)
        sessions: Sessions = request.app.state.site.sessions
        session = sessions.of(request)
        # Only the login form is sent without a session; the gate has seen to that.
        if session and not same_secret(form.get("csrf", ""), sessions.csrf(session)):
            raise Forbidden("This form is not from your session.", hint="Reload the page and send it again.")
        return await run_in_threadpool(handler, request, form)

    return endpoint


def check_origin(request: Request) -> None:
    """Refuse a POST that another site's page sent.

    `Origin` is "null" on our own pages, because they send no referrer; `Sec-Fetch-Site` then tells, and
    where a browser sends neither (plain HTTP to another machine) the form's token decides alone.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")
    is_ours = origin == "null" or urlsplit(origin).netloc == request.headers.get("host", "")
    if site not in ("same-origin", "none") or not is_ours:
        raise Forbidden("This form was sent from another site.", hint="Open the dashboard and send it there.")


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise TooLarge("This form is too large.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError as exc:
        raise InvalidRequest("This form cannot be read.") from exc
