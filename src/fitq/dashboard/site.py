"""What every page needs at hand: the backend, the templates and who is looking."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from fitq.backend import Backend
from fitq.dashboard import show
from fitq.dashboard.session import Sessions
from fitq.records import MetricPoint
from fitq.serving import Serving
from fitq.settings import Settings
from fitq.store.catalog import Catalog

HERE = Path(__file__).parent


@dataclass
class Site:
    """The dashboard of one workspace."""

    backend: Backend
    settings: Settings
    sessions: Sessions
    #: last values of runs that ended: they never change, and lists ask for them again and again
    last_values: dict[str, list[MetricPoint]] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        return self.backend.catalog

    @property
    def serving(self) -> Serving:
        return Serving(self.settings.scoring_inside_url or self.settings.scoring_url, self.settings.token)

    @cached_property
    def templates(self) -> Environment:
        """Escapes everything, and fails loudly on a name no handler gave."""
        found = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        found.filters.update(show.FILTERS)
        found.globals.update(static=_static_addresses(), workspace=self.settings.workspace)
        return found

    def render(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """A page from a template and what it shows."""
        session = self.sessions.of(request)
        page = self.templates.get_template(template).render(
            path=request.url.path,
            csrf=self.sessions.csrf(session) if session else "",
            signed_in=bool(session),
            **values,
        )
        return HTMLResponse(page, status)


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    return cast(Site, request.app.state.site)


def _static_addresses() -> dict[str, str]:
    """File name → address with the content's hash: browsers keep it until it changes."""
    files = (HERE / "static").iterdir()
    return {f.name: f"/static/{f.name}?{hashlib.sha256(f.read_bytes()).hexdigest()[:12]}" for f in files}
