"""What went wrong, as a page in the same style: what happened, to which thing, what to try."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fitq.dashboard.site import site_of
from fitq.errors import FitqError, InternalError, MethodNotAllowed, NotFound, Unavailable


def show_error(request: Request, exc: Exception) -> Response:
    """The page for any error of a handler; our own mistakes are re-raised and logged by the server."""
    error = _as_ours(exc)
    answer = site_of(request).render(
        request, "error.html", error.status, message=error.message, hint=error.hint, code=error.status
    )
    if isinstance(error, Unavailable):
        answer.headers["retry-after"] = "5"
    return answer


def _as_ours(exc: Exception) -> FitqError:
    if isinstance(exc, FitqError):
        return exc
    if isinstance(exc, HTTPException) and exc.status_code == 404:
        return NotFound("There is no such page.", hint="The menu above leads to all there are.")
    if isinstance(exc, HTTPException) and exc.status_code == 405:
        return MethodNotAllowed("This address is not opened that way.", hint="Use the menu above.")
    if isinstance(exc, HTTPException):
        return FitqError(str(exc.detail))
    return InternalError("This page could not be made.", hint="The server's log says why.")
