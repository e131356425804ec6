"""The dashboard's addresses. One small file per group of pages does the work.

Everything is one mounted application with its own headers, sessions and error pages, so that no page
can be forgotten behind the gate. It leaves the addresses of the HTTP interface alone.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from fitq.backend import Backend
from fitq.dashboard import (
    data_pages,
    endpoint_pages,
    environment_pages,
    login,
    model_pages,
    overview,
    pool_pages,
    run_files,
    run_pages,
)
from fitq.dashboard.error_pages import show_error
from fitq.dashboard.headers import SafeHeaders
from fitq.dashboard.session import SessionGate, Sessions, posted
from fitq.dashboard.site import Site
from fitq.errors import FitqError
from fitq.settings import Settings

STATIC = Path(__file__).parent / "static"

PAGES: list[BaseRoute] = [
    Route("/", overview.show),
    Route("/login", login.form, methods=["GET"]),
    Route("/login", posted(login.enter), methods=["POST"]),
    Route("/logout", posted(login.leave), methods=["POST"]),
    Route("/runs", run_pages.listing),
    Route("/runs/{id}", run_pages.show),
    Route("/runs/{id}/metrics", run_pages.all_metrics),
    Route("/runs/{id}/artifacts", run_pages.all_artifacts),
    Route("/runs/{id}/cancel", posted(run_pages.cancel), methods=["POST"]),
    Route("/runs/{id}/log", run_files.whole_log),
    Route("/runs/{id}/events", run_files.events),
    Route("/runs/{id}/artifacts/{path:path}", run_files.artifact),
    Route("/data", data_pages.listing),
    Route("/data/{name}", data_pages.show),
    Route("/data/{name}/versions/{version}", data_pages.show),
    Route("/environments", environment_pages.listing),
    Route("/environments/{hash}", environment_pages.show),
    Route("/models", model_pages.listing),
    Route("/models/{name}", model_pages.show),
    Route("/models/{name}/versions/{version}", model_pages.show),
    Route("/endpoints", endpoint_pages.listing),
    Route("/pools", pool_pages.listing),
    Mount("/static", StaticFiles(directory=STATIC), name="static"),
]


def routes(backend: Backend, settings: Settings) -> list[BaseRoute]:
    """All pages, to be put after the routes of the HTTP interface."""
    sessions = Sessions(settings)
    app = Starlette(
        routes=PAGES,
        middleware=[Middleware(SessionGate, sessions=sessions)],
        exception_handlers={FitqError: show_error, HTTPException: show_error, Exception: show_error},
    )
    app.state.site = Site(backend, settings, sessions)
    return [Pages("/", SafeHeaders(app), name="dashboard")]


class Pages(Mount):
    """A mount that leaves the addresses of the HTTP interface to their owner, unknown ones included."""

    NOT_PAGES = ("/v1/", "/api/", "/healthz/", "/readyz/", "/metrics/", "/openapi.json/", "/docs/")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(self.NOT_PAGES):
            return Match.NONE, {}
        return super().matches(scope)
