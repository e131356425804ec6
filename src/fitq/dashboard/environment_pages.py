"""Environments: the packages that were built and who used them, and the names that stand for some."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import environment_builds, environment_uses
from fitq.dashboard.run_rows import rows
from fitq.dashboard.site import site_of
from fitq.errors import NotFound
from fitq.names import is_sha256

_MOST_BUILT, _MOST_NAMED, _MOST_RUNS, _MOST_PACKAGES = 50, 100, 10, 500
_LOG_CHARACTERS = 20_000


def listing(request: Request) -> Response:
    """`/environments`."""
    site = site_of(request)
    built, total = environment_uses.list_used(site.backend, _MOST_BUILT)
    named = environment_builds.list_with_builds(site.backend)
    return site.render(
        request, "environments.html", built=built, total=total, named=named[:_MOST_NAMED], most=_MOST_NAMED
    )


def show(request: Request) -> Response:
    """`/environments/{hash}`: every package, and the runs that used it last."""
    site, hash = site_of(request), request.path_params["hash"]
    if not is_sha256(hash):
        raise NotFound(f"{hash[:80]!r} is no environment's hash.", hint="See /environments.")
    used = environment_uses.find_used(site.backend, hash)
    return site.render(
        request,
        "environment.html",
        used=used,
        packages=sorted(used.kept.packages.items())[:_MOST_PACKAGES],
        rows=rows(site, used.runs[:_MOST_RUNS]),
        log=environment_uses.build_log(site.backend, hash)[-_LOG_CHARACTERS:],
    )
