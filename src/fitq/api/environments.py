"""Environments over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import environment_builds, environment_names
from fitq.api.responses import backend_of, expected_revision, json_response, with_body, with_revision
from fitq.environments.kept import Kept
from fitq.names import is_sha256
from fitq.records import EnvironmentRequest, EnvironmentSettings, NamedEnvironment


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
    found = _found(request)
    answer = json_response(environment_builds.with_build(backend, found))
    return answer if found.is_curated else with_revision(answer, found.id)


@with_body(EnvironmentSettings)
def put_environment(request: Request, body: EnvironmentSettings) -> Response:
    """`PUT /v1/environments/{name}`: makes a specification its newest version; a run builds it."""
    name, expected = request.path_params["environment"], expected_revision(request)
    environment_names.configure(backend_of(request), name, body, expected=expected)
    return get_environment(request)


def delete_environment(request: Request) -> Response:
    """`DELETE /v1/environments/{name}`: out of all lists; its versions can still be named. Twice is fine."""
    name, expected = request.path_params["environment"], expected_revision(request)
    environment_names.withdraw(backend_of(request), name, expected=expected)
    return Response(status_code=204)


def get_environment_log(request: Request) -> Response:
    """`GET /v1/environments/{name}/log`: what the last build said, as text."""
    data = environment_builds.log_of(backend_of(request), _found(request))
    headers = {"x-content-type-options": "nosniff"}
    return Response(data, media_type="text/plain; charset=utf-8", headers=headers)


def _found(request: Request) -> NamedEnvironment:
    version = request.query_params.get("version")
    return environment_names.find(backend_of(request), request.path_params["environment"], version)
