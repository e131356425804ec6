"""In and out: a pasted token or a login code becomes a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fitq.credentials import same_secret, valid_login_code
from fitq.dashboard.session import local_path
from fitq.dashboard.site import Site, site_of
from fitq.logs import get_logger

log = get_logger(__name__)


def form(request: Request) -> Response:
    """The login form; with a good code in the address, straight in."""
    site = site_of(request)
    target = local_path(request.query_params.get("next", "/"))
    code = request.query_params.get("code", "")
    if code and valid_login_code(site.settings.token, code):
        return _let_in(site, target)
    if site.sessions.of(request):
        return RedirectResponse(target, 303)
    wrong = "This login code is too old. Run fitq dashboard again, or paste the token." if code else ""
    return _page(request, target, wrong, status=401 if code else 200)


def enter(request: Request, form: dict[str, str]) -> Response:
    """The form came back with a token."""
    site = site_of(request)
    target = local_path(form.get("next", "/"))
    if same_secret(form.get("token", "").strip(), site.settings.token):
        return _let_in(site, target)
    log.warning("login_refused", client=request.client.host if request.client else "")
    return _page(request, target, "This is not the token of this platform.", status=401)


def leave(request: Request, form: dict[str, str]) -> Response:  # noqa: ARG001  # a form without fields
    """End the session."""
    answer = RedirectResponse("/login", 303)
    site_of(request).sessions.end(answer)
    return answer


def _let_in(site: Site, target: str) -> Response:
    answer = RedirectResponse(target, 303)
    site.sessions.start(answer)
    return answer


def _page(request: Request, target: str, wrong: str, status: int) -> Response:
    return site_of(request).render(request, "login.html", status, next=target, wrong=wrong)
