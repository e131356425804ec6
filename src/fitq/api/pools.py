"""Pools over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import pools
from fitq.api.responses import backend_of, expected_revision, json_response, with_body, with_revision
from fitq.records import PoolRecord, PoolSettings


def list_pools(request: Request) -> Response:
    """`GET /v1/pools`."""
    return json_response({"pools": pools.list_pools(backend_of(request))})


def get_pool(request: Request) -> Response:
    """`GET /v1/pools/{name}`."""
    return _pool(request, pools.find_pool(backend_of(request), request.path_params["pool"]))


@with_body(PoolSettings)
def put_pool(request: Request, body: PoolSettings) -> Response:
    """`PUT /v1/pools/{name}`."""
    name, expected = request.path_params["pool"], expected_revision(request)
    return _pool(request, pools.configure(backend_of(request), name, body, expected=expected))


def delete_pool(request: Request) -> Response:
    """`DELETE /v1/pools/{name}`: forgets its settings, 204 also when there are none."""
    name, expected = request.path_params["pool"], expected_revision(request)
    pools.forget_settings(backend_of(request), name, expected=expected)
    return Response(status_code=204)


def _pool(request: Request, pool: PoolRecord) -> Response:
    """The ETag is of what can be put: how much waits changes without it."""
    return with_revision(json_response(pool), pools.kept_settings(backend_of(request), pool.name)[1])
