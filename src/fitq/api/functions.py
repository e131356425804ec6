"""Training functions over HTTP: what pools know, and what is published as code."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import pools, publishing
from fitq.api.responses import backend_of, expected_revision, json_response, with_body, with_revision
from fitq.records import FunctionRequest, to_builtins


def list_functions(request: Request) -> Response:
    """`GET /v1/functions`: what workers know."""
    return json_response({"functions": pools.live_functions(backend_of(request))})


def get_function(request: Request) -> Response:
    """`GET /v1/functions/{name}`: what is published, with its versions."""
    code, revision = publishing.find_code(backend_of(request), request.path_params["function"])
    shown = {**to_builtins(code), "versions": [{**to_builtins(v), "id": v.id} for v in code.versions]}
    return with_revision(json_response(shown), revision)


@with_body(FunctionRequest)
def put_function(request: Request, body: FunctionRequest) -> Response:
    """`PUT /v1/functions/{name}`: publishes an uploaded folder as the function's code."""
    name, expected = request.path_params["function"], expected_revision(request)
    publishing.publish(backend_of(request), name, body, expected=expected)
    return get_function(request)


def delete_function(request: Request) -> Response:
    """`DELETE /v1/functions/{name}`: takes published code back, 204 also when there is none."""
    name, expected = request.path_params["function"], expected_revision(request)
    publishing.withdraw(backend_of(request), name, expected=expected)
    return Response(status_code=204)
