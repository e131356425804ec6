"""`/openapi.json` and `/docs`, from the route table, the handlers' docstrings and the records themselves."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from fitq import __version__
from fitq.api.responses import json_response
from fitq.documents import Plan
from fitq.records import (
    ArtifactRecord,
    DataRecord,
    DataRequest,
    EndpointRecord,
    FunctionCode,
    FunctionRecord,
    ModelRecord,
    NamedEnvironment,
    PoolRecord,
    RegisterRequest,
    RunRecord,
)

#: What an answer of 2xx carries, by path and method; anything else is described in words only.
_ANSWERS: dict[tuple[str, str], type] = {
    ("/v1/runs", "POST"): RunRecord,
    ("/v1/runs/{run}", "GET"): RunRecord,
    ("/v1/runs/{run}/cancel", "POST"): RunRecord,
    ("/v1/functions/{function}", "GET"): FunctionCode,
    ("/v1/functions/{function}", "PUT"): FunctionCode,
    ("/v1/pools/{pool}", "GET"): PoolRecord,
    ("/v1/pools/{pool}", "PUT"): PoolRecord,
    ("/v1/plan", "POST"): Plan,
    ("/v1/apply", "POST"): Plan,
    ("/v1/models", "POST"): ModelRecord,
    ("/v1/environments", "POST"): NamedEnvironment,
    ("/v1/environments/{environment}", "GET"): NamedEnvironment,
    ("/v1/environments/{environment}", "PUT"): NamedEnvironment,
    ("/v1/data", "POST"): DataRecord,
    ("/v1/data/{data}/versions/{version}", "GET"): DataRecord,
    ("/v1/models/{model}/versions/{version}", "GET"): ModelRecord,
    ("/v1/models/{model}/versions/{version}", "PATCH"): ModelRecord,
    ("/v1/endpoints/{endpoint}", "GET"): EndpointRecord,
    ("/v1/endpoints/{endpoint}", "PUT"): EndpointRecord,
}
_LISTS: dict[str, tuple[str, type]] = {
    "/v1/runs": ("runs", RunRecord),
    "/v1/functions": ("functions", FunctionRecord),
    "/v1/pools": ("pools", PoolRecord),
    "/v1/environments": ("environments", NamedEnvironment),
    "/v1/runs/{run}/artifacts": ("artifacts", ArtifactRecord),
}
_STATUS = {
    ("/v1/snapshots", "POST"): "201",
    ("/v1/runs", "POST"): "202",
    ("/v1/runs/{run}/cancel", "POST"): "202",
    ("/v1/models", "POST"): "201",
    ("/v1/environments", "POST"): "202",
    ("/v1/data", "POST"): "201",
    ("/v1/data-contents", "POST"): "201",
    ("/v1/data/{data}", "DELETE"): "204",
    ("/v1/environments/{environment}", "DELETE"): "204",
    ("/v1/data-parts/{sha256}", "PUT"): "204",
    ("/v1/models/{model}", "DELETE"): "204",
    ("/v1/models/{model}/versions/{version}", "DELETE"): "204",
    ("/v1/endpoints/{endpoint}", "DELETE"): "204",
    ("/v1/pools/{pool}", "DELETE"): "204",
    ("/v1/functions/{function}", "DELETE"): "204",
    ("/v1/models/{model}/aliases/{alias}", "DELETE"): "204",
}
_BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("/v1/snapshots", "POST"): {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    ("/v1/data-parts/{sha256}", "PUT"): {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    },
    ("/v1/data", "POST"): {
        "application/json": {"schema": {"$ref": "#/components/schemas/DataRequest"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["metadata", "file"],
                "properties": {
                    "metadata": {
                        "type": "string",
                        "description": "name, is_folder, description, tags as JSON",
                    },
                    "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                },
            }
        },
    },
    ("/v1/models", "POST"): {
        "application/json": {"schema": {"$ref": "#/components/schemas/RegisterRequest"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["metadata", "file"],
                "properties": {
                    "metadata": {"type": "string", "description": "RegisterRequest as JSON"},
                    "file": {"type": "string", "format": "binary"},
                },
            }
        },
    },
}
_QUERY = {
    "/v1/runs": ("experiment", "status", "tag", "parent", "order", "limit", "cursor"),
    "/v1/runs/{run}/logs": ("offset", "follow"),
    "/v1/environments/{environment}": ("version",),
    "/v1/environments/{environment}/log": ("version",),
    "/v1/documents": ("label",),
}
#: What changes carries an `ETag`; whoever writes may name the one that was read.
_REVISED = (
    "/v1/data/{data}",
    "/v1/endpoints/{endpoint}",
    "/v1/environments/{environment}",
    "/v1/functions/{function}",
    "/v1/models/{model}",
    "/v1/models/{model}/aliases/{alias}",
    "/v1/pools/{pool}",
)
_ERROR = {
    "type": "object",
    "required": ["message", "code", "hint", "request_id"],
    "properties": {name: {"type": "string"} for name in ("message", "code", "hint", "request_id")},
}


def document(request: Request) -> Response:
    """`GET /openapi.json`: this API as OpenAPI 3.1."""
    return json_response(describe(request.app.routes))


def page(request: Request) -> Response:
    """`GET /docs`: the same for people."""
    paths = describe(request.app.routes)["paths"]
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation['summary'])}</td></tr>"
        for path, operations in paths.items()
        for method, operation in operations.items()
    )
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>fitq API</title>"
        "<h1>fitq API</h1><p>Machine-readable: <a href=/openapi.json>/openapi.json</a>. "
        "Every refusal has the body <code>{message, code, hint, request_id, …}</code>.</p>"
        f"<table>{rows}</table></html>",
        headers={"content-security-policy": "default-src 'none'", "x-content-type-options": "nosniff"},
    )


def describe(routes: list[Any]) -> dict[str, Any]:
    """The whole document."""
    ours = [r for r in routes if isinstance(r, Route) and not r.path.startswith(("/openapi", "/docs"))]
    kinds = {RegisterRequest, DataRequest, *_ANSWERS.values(), *(kind for _, kind in _LISTS.values())}
    kinds |= {body for r in ours if (body := getattr(r.endpoint, "body", None))}
    _, components = msgspec.json.schema_components(
        sorted(kinds, key=lambda k: k.__name__), ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ours:
        path = re.sub(r":path}", "}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(route, path, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fitq",
            "version": __version__,
            "description": "Fit on a queue, predict on demand.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, path: str, method: str) -> dict[str, Any]:
    summary = inspect.cleandoc(route.endpoint.__doc__ or "").split("\n")[0].partition("`: ")[2]
    operation: dict[str, Any] = {
        "operationId": route.endpoint.__name__,
        "summary": summary or route.endpoint.__name__.replace("_", " ").capitalize() + ".",
        "parameters": list(_parameters(path, method)),
        "responses": {
            _STATUS.get((path, method), "200"): _answer(path, method),
            "default": {
                "description": "Refused; says what happened and what to do.",
                "content": _json({"$ref": "#/components/schemas/Error"}),
            },
        },
    }
    body = getattr(route.endpoint, "body", None)
    content = (
        _json({"$ref": f"#/components/schemas/{body.__name__}"}) if body else _BODIES.get((path, method))
    )
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    if not path.startswith("/v1/"):
        operation["security"] = []
    return operation


def _parameters(path: str, method: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if method == "GET":
        for name in _QUERY.get(path, ()):
            yield {"name": name, "in": "query", "schema": {"type": "string"}}
    if path in _REVISED and method in ("PUT", "DELETE"):
        for name in ("If-Match", "If-None-Match"):
            yield {"name": name, "in": "header", "schema": {"type": "string"}}
    if (path, method) == ("/v1/runs", "POST"):
        yield {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}


def _answer(path: str, method: str) -> dict[str, Any]:
    kind = _ANSWERS.get((path, method))
    if kind is not None:
        return {"description": kind.__name__, "content": _json(_reference(kind))}
    if method == "GET" and path in _LISTS:
        name, item = _LISTS[path]
        listed = {"type": "array", "items": _reference(item)}
        schema = {"type": "object", "required": [name], "properties": {name: listed}}
        return {"description": f"A list of {name}.", "content": _json(schema)}
    return {"description": "Done."}


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
