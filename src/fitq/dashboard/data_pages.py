"""Data: its names and versions, and how a run takes it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import data
from fitq.dashboard.site import site_of

_MOST_NAMES, _MOST_FILES, _MOST_VERSIONS = 100, 200, 100


def listing(request: Request) -> Response:
    """`/data`."""
    site = site_of(request)
    names = data.names(site.backend)
    found = [data.summary(site.backend, name) for name in names[:_MOST_NAMES]]
    return site.render(request, "data.html", found=found, name_count=len(names))


def show(request: Request) -> Response:
    """`/data/{name}` and `/data/{name}/versions/{version}`: the files of a version."""
    site, path = site_of(request), request.path_params
    record = data.find(site.backend, path["name"], path.get("version"))
    return site.render(
        request,
        "data_version.html",
        record=record,
        files=record.files[:_MOST_FILES],
        versions=data.versions(site.backend, record.name)[-_MOST_VERSIONS:],
    )
