"""Endpoints: where they score, which versions answer, and a `curl`. Keys are never shown here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq.dashboard import commands
from fitq.dashboard.paging import page_number, sliced
from fitq.dashboard.site import Site, site_of
from fitq.errors import NotFound
from fitq.records import EndpointRecord, ModelRecord

_PAGE_ENDPOINTS = 12


def listing(request: Request) -> Response:
    """`/endpoints?page=`."""
    site = site_of(request)
    part = sliced(site.catalog.endpoints(), page_number(request), _PAGE_ENDPOINTS)
    address, health = site.settings.scoring_url, site.serving.endpoints(part.items)
    cards = [
        {
            "endpoint": endpoint,
            "health": state,
            "address": commands.endpoint_address(address, endpoint),
            "curl": commands.score_endpoint(address, endpoint, _model_of(site, endpoint)),
        }
        for endpoint, state in zip(part.items, health, strict=True)
    ]
    return site.render(request, "endpoints.html", cards=cards, part=part)


def _model_of(site: Site, endpoint: EndpointRecord) -> ModelRecord | None:
    """The version that gets most of the traffic."""
    version = max(endpoint.traffic, key=lambda v: endpoint.traffic[v], default=None)
    try:
        return site.catalog.model(endpoint.model, version)
    except NotFound:
        return None
