"""Declared state over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq.api.responses import backend_of, json_response, with_body
from fitq.declared import applying, exporting, planning
from fitq.declared.schema import schema
from fitq.documents import DeclaredRequest


@with_body(DeclaredRequest)
def plan(request: Request, body: DeclaredRequest) -> Response:
    """`POST /v1/plan`: what applying these documents would change. Changes nothing."""
    return json_response(planning.plan(backend_of(request), body))


@with_body(DeclaredRequest)
def apply(request: Request, body: DeclaredRequest) -> Response:
    """`POST /v1/apply`: brings about what these documents say; answers what was changed."""
    return json_response(applying.apply(backend_of(request), body))


def export(request: Request) -> Response:
    """`GET /v1/documents`: what is there, as documents; of one label with `?label=`."""
    label = request.query_params.get("label")
    return json_response({"documents": exporting.export(backend_of(request), label=label)})


def get_schema(request: Request) -> Response:  # noqa: ARG001
    """`GET /v1/documents/schema`: the JSON Schema of one document."""
    return json_response(schema())
