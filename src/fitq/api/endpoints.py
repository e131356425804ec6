"""Endpoints over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitq import endpoints
from fitq.api.responses import (
    backend_of,
    expected_revision,
    json_response,
    serving_of,
    settings_of,
    with_body,
    with_revision,
)
from fitq.names import check_name
from fitq.records import EndpointRecord, EndpointRequest, to_builtins, to_json
from fitq.revisions import revision_of
from fitq.serving import Health


@with_body(EndpointRequest)
def put_endpoint(request: Request, body: EndpointRequest) -> Response:
    """`PUT /v1/endpoints/{name}`: 201 when it is new, 200 when it was replaced."""
    name = check_name("endpoint", request.path_params["endpoint"])
    endpoint = endpoints.deploy(backend_of(request), name, body, expected=expected_revision(request))
    status = 201 if endpoint.created_at == endpoint.updated_at else 200
    answer = json_response(_endpoint(request, endpoint, serving_of(request).endpoint(endpoint)), status)
    return with_revision(answer, revision_of(to_json(endpoint)))


def list_endpoints(request: Request) -> Response:
    """`GET /v1/endpoints`."""
    found = backend_of(request).catalog.endpoints()
    states = serving_of(request).endpoints(found)
    shown = [_endpoint(request, e, health) for e, health in zip(found, states, strict=True)]
    return json_response({"endpoints": shown})


def get_endpoint(request: Request) -> Response:
    """`GET /v1/endpoints/{name}`."""
    found = backend_of(request).catalog.endpoint(request.path_params["endpoint"])
    shown = _endpoint(request, found, serving_of(request).endpoint(found))
    return with_revision(json_response(shown), revision_of(to_json(found)))


def delete_endpoint(request: Request) -> Response:
    """`DELETE /v1/endpoints/{name}`: 204 also when there is none."""
    name, expected = request.path_params["endpoint"], expected_revision(request)
    endpoints.remove_endpoint(backend_of(request), name, expected=expected)
    return Response(status_code=204)


def get_keys(request: Request) -> Response:
    """`GET /v1/endpoints/{name}/keys`."""
    return _keys(request)


def regenerate_key(request: Request) -> Response:
    """`POST /v1/endpoints/{name}/keys/{primary|secondary}/regenerate`."""
    backend, name = backend_of(request), request.path_params["endpoint"]
    endpoints.rotate_key(backend, name, request.path_params["which"])
    return _keys(request)


def _keys(request: Request) -> Response:
    keys = endpoints.endpoint_keys(backend_of(request), request.path_params["endpoint"])
    response = json_response(keys)
    response.headers["cache-control"] = "no-store"
    return response


def _endpoint(request: Request, endpoint: EndpointRecord, health: Health) -> dict[str, Any]:
    base = f"{settings_of(request).scoring_url}/api/v1/service/{endpoint.name}"
    shown: dict[str, Any] = to_builtins(endpoint)
    del shown["key_generations"]
    return {
        **shown,
        **health._asdict(),
        "scoring_uri": f"{base}/score",
        "swagger_uri": f"{base}/swagger.json",
    }
