"""Pools and functions over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import pools
from fitq.api.responses import backend_of, json_response, with_body
from fitq.records import PoolSettings


def list_pools(request: Request) -> Response:
    """`GET /v1/pools`."""
    return json_response({"pools": pools.list_pools(backend_of(request))})


def get_pool(request: Request) -> Response:
    """`GET /v1/pools/{name}`."""
    return json_response(pools.find_pool(backend_of(request), request.path_params["pool"]))


@with_body(PoolSettings)
def put_pool(request: Request, body: PoolSettings) -> Response:
    """`PUT /v1/pools/{name}`."""
    return json_response(pools.configure(backend_of(request), request.path_params["pool"], body))


def list_functions(request: Request) -> Response:
    """`GET /v1/functions`."""
    return json_response({"functions": pools.live_functions(backend_of(request))})
