"""The Swagger of one address: Azure's shape in version 2, the same in OpenAPI 3.0 and 3.1.

The schema of the rows is inference-schema's; the examples are rows the model was seen to answer and the
answer it gave.
"""

from __future__ import annotations

from typing import Any

from fitq.errors import NotFound
from fitq.scoring.script import schemas
from fitq.scoring.target import Target

VERSIONS = {"2": "2.0", "3": "3.0.3", "3.1": "3.1.0"}
_SCHEMAS = {"2": "#/definitions/", "3": "#/components/schemas/", "3.1": "#/components/schemas/"}


def swagger(target: Target, version: str, address: str, answer: Any) -> dict[str, Any]:
    """The document.

    Args:
        version: 2, 3 or 3.1.
        answer: what the model answered to its example rows.

    Raises:
        NotFound: another version.
        ModelUnusable: the model cannot be scored, so there is nothing to describe.
    """
    if version not in VERSIONS:
        message = f"There is no Swagger version {version!r}. Versions: {', '.join(VERSIONS)}."
        raise NotFound(message, expected=" or ".join(VERSIONS), got=version, at="query version")
    definitions = _definitions(target, version, answer)
    info = {
        "title": target.title or target.served.record.name,
        "description": f"Scores rows with {target.served.record.id} ({_answers_by(target)}).",
        "version": str(target.served.record.version),
    }
    paths = _paths(target, version)
    security: list[dict[str, list[str]]] = [{"Bearer": []}]
    if version != "2":
        bearer = {"type": "http", "scheme": "bearer", "description": _KEY}
        components = {"schemas": definitions, "securitySchemes": {"Bearer": bearer}}
        return {"openapi": VERSIONS[version], "info": info, "servers": [{"url": address}], "paths": paths,
                "components": components, "security": security}  # fmt: skip
    scheme, _, host = address.partition("://")
    return {
        "swagger": "2.0",
        "info": info,
        "host": host,
        "basePath": "/",
        "schemes": [scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "Bearer": {"type": "apiKey", "name": "Authorization", "in": "header", "description": _KEY}
        },
        "paths": paths,
        "definitions": definitions,
        "security": security,
    }


def _answers_by(target: Target) -> str:
    record = target.served.record
    return record.entry.script if record.entry is not None else record.estimator


_NO_OTHERS = {"additionalProperties": False}
_KEY = "The token or an endpoint key, as: Bearer abc123"


def _definitions(target: Target, version: str, answer: Any) -> dict[str, Any]:
    record = target.served.record
    texts = {name: {"type": "string"} for name in ("message", "code", "hint", "request_id")}
    error = {"ErrorResponse": {"type": "object", "properties": texts}}
    if record.entry is not None:
        taken, given = schemas(record.entry, answer)
        return {"ServiceInput": taken, "ServiceOutput": given, **error}
    rows = _null_marked(target.served.schema.to_swagger(), target, version)
    method = {"type": "string", "enum": list(record.methods), "default": target.default_method}
    given = {
        "type": "object",
        "properties": {"data": {**rows, "minItems": 1}, "method": method},
        "required": ["data"],
        **_NO_OTHERS,
    }
    return {
        "ServiceInput": {**given, **({"example": target.example_body} if target.example_body else {})},
        "ServiceOutput": {"type": "array", "items": _shape(answer, version), "example": answer},
        **error,
    }


def _null_marked(rows: dict[str, Any], target: Target, version: str) -> dict[str, Any]:
    """Say where null may stand, in the words of each version."""
    schema = target.served.schema.schema
    item = rows["items"]
    if "properties" in item:
        marked = {
            c.name: _nullable(item["properties"][c.name], version)
            if c.nullable
            else item["properties"][c.name]
            for c in schema.columns
        }
        return {**rows, "items": {**item, "properties": marked, "required": list(marked), **_NO_OTHERS}}
    if schema.layout == "rows":
        cell = item["items"]
        cell = _nullable(cell, version) if any(c.nullable for c in schema.columns) and cell else cell
        size = {"minItems": schema.width, "maxItems": schema.width}
        return {**rows, "items": {**item, **size, "items": cell}}
    return rows


def _nullable(schema: dict[str, Any], version: str) -> dict[str, Any]:
    if version == "3.1":
        return {**schema, "type": [schema["type"], "null"]}
    return {**schema, ("nullable" if version == "3" else "x-nullable"): True}


def _shape(answer: Any, version: str) -> dict[str, Any]:
    """What one entry of the answer looks like, as far as the example shows it."""
    entry = answer[0] if isinstance(answer, list) and answer else None
    if isinstance(entry, list):
        return {"type": "array", "items": _shape(entry, version)}
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
    kind = kinds.get(type(entry))
    return {"type": kind} if kind else {}


def _paths(target: Target, version: str) -> dict[str, Any]:
    document = target.path.removesuffix("/score") + "/swagger.json"
    return {
        "/": {
            "get": {
                **_operation("ServiceHealthCheck", "Simple health check.", version, "The service is up."),
                "security": [],
            }
        },
        target.path: {"post": _scoring(version)},
        document: {"get": _operation("GetSwaggerSpec", "This document.", version, "The document.")},
    }


def _operation(name: str, description: str, version: str, success: str) -> dict[str, Any]:
    produced = {"schema": {"type": "string" if name == "ServiceHealthCheck" else "object"}}
    kind = "text/plain" if name == "ServiceHealthCheck" else "application/json"
    good = {"description": success, **(produced if version == "2" else {"content": {kind: produced}})}
    return {"operationId": name, "description": description, "responses": {"200": good}}


def _scoring(version: str) -> dict[str, Any]:
    def refer(name: str) -> dict[str, Any]:
        schema = {"schema": {"$ref": _SCHEMAS[version] + name}}
        return schema if version == "2" else {"content": {"application/json": schema}}

    given = (
        {
            "parameters": [
                {"name": "serviceInputPayload", "in": "body", "required": True, **refer("ServiceInput")}
            ]
        }
        if version == "2"
        else {"requestBody": {"required": True, **refer("ServiceInput")}}
    )
    return {
        "operationId": "RunMLService",
        "description": "Score rows: one entry in the answer per row.",
        **given,
        "responses": {
            "200": {"description": "The predictions.", **refer("ServiceOutput")},
            "default": {"description": "What was wrong, and what to do.", **refer("ErrorResponse")},
        },
    }
