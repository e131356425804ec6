"""Environments over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import environment_builds, environment_names
from fitq.api.responses import backend_of, json_response, with_body
from fitq.environments.kept import Kept
from fitq.names import is_sha256
from fitq.records import EnvironmentRequest, NamedEnvironment


@with_body(EnvironmentRequest)
def build_environment(request: Request, body: EnvironmentRequest) -> Response:
    """`POST /v1/environments`: register a specification under a name, and have a worker build it."""
    backend = backend_of(request)
    named = environment_names.register(backend, body)
    if body.build:
        environment_builds.build(backend, named, body.pool)
    shown = environment_builds.with_build(backend, named)
    return json_response(shown, 202 if body.build else 201, location=f"/v1/environments/{named.name}")


def list_environments(request: Request) -> Response:
    """`GET /v1/environments`: curated ones, and the newest version of every registered one."""
    return json_response({"environments": environment_builds.list_with_builds(backend_of(request))})


def get_environment(request: Request) -> Response:
    """`GET /v1/environments/{name}`: by name, `name:version`, or the hash of exact packages."""
    backend, name = backend_of(request), request.path_params["environment"]
    if is_sha256(name):
        return json_response(Kept(backend.objects, backend.keys).get(name))
    return json_response(environment_builds.with_build(backend, _found(request)))


def get_environment_log(request: Request) -> Response:
    """`GET /v1/environments/{name}/log`: what the last build said, as text."""
    data = environment_builds.log_of(backend_of(request), _found(request))
    headers = {"x-content-type-options": "nosniff"}
    return Response(data, media_type="text/plain; charset=utf-8", headers=headers)


def _found(request: Request) -> NamedEnvironment:
    version = request.query_params.get("version")
    return environment_names.find(backend_of(request), request.path_params["environment"], version)
