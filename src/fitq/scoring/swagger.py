"""The Swagger of one address: Azure's shape in version 2, the same in OpenAPI 3.0 and 3.1.

The schema of the rows is inference-schema's; the examples are rows the model was seen to answer and the
answer it gave.
"""

from __future__ import annotations

from typing import Any

import orjson

from fitq.errors import NotFound
from fitq.scoring.answer_schema import answer_schema
from fitq.scoring.answers import to_json
from fitq.scoring.input_schema import input_schema
from fitq.scoring.schema_words import Schema, Words
from fitq.scoring.script import schemas
from fitq.scoring.target import Target

VERSIONS = {"2": "2.0", "3": "3.0.3", "3.1": "3.1.0"}


#: Method → what it answered to the example rows; of an entry script "run" → its body.
Answers = dict[str, Any]


def swagger(target: Target, version: str, address: str, answers: Answers, most_rows: int) -> dict[str, Any]:
    """The document.

    Args:
        version: 2, 3 or 3.1.
        answers: none, if the model does not answer now.
        most_rows: of one request.

    Raises:
        NotFound: another version.
        ModelUnusable: the model cannot be scored, so there is nothing to describe.
    """
    if version not in VERSIONS:
        message = f"There is no Swagger version {version!r}. Versions: {', '.join(VERSIONS)}."
        raise NotFound(message, expected=" or ".join(VERSIONS), got=version, at="query version")
    definitions = _definitions(target, version, answers, most_rows)
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
        "produces": ["application/json", "text/plain"],
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
_TEXT = {"type": "string"}
_ERROR = dict.fromkeys(("message", "code", "hint", "request_id"), _TEXT)
#: What a refusal says besides: what was expected, what came, where it stood, and a command that scores.
_REFUSAL = {**_ERROR, **dict.fromkeys(("expected", "got", "at", "curl"), _TEXT)}


def _definitions(target: Target, version: str, answers: Answers, most_rows: int) -> dict[str, Any]:
    errors = {"ErrorResponse": _object(_ERROR), "RefusalResponse": _object(_REFUSAL)}
    record = target.served.record
    if record.entry is not None:
        taken, given = schemas(record.entry, answers.get("run"))
        return {"ServiceInput": taken, "ServiceOutput": given, **errors}
    words = Words(version)
    taken = _service_input(target, words, most_rows)
    given = answer_schema(record, answers, words)
    if target.default_method in answers:
        given["example"] = orjson.loads(to_json(answers[target.default_method]))
    return {"ServiceInput": taken, "ServiceOutput": given, **errors}


def _service_input(target: Target, words: Words, most_rows: int) -> Schema:
    methods = {"type": "string", "enum": list(target.served.record.methods)}
    fields = {
        "data": input_schema(target.served.schema, words, most_rows),
        "method": {**words.nullable(methods), "default": target.default_method},
    }
    told = {**_object(fields), "required": ["data"], **_NO_OTHERS}
    return {**told, **({"example": target.example_body} if target.example_body else {})}


def _object(fields: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _paths(target: Target, version: str) -> dict[str, Any]:
    document = target.path.removesuffix("/score") + "/swagger.json"
    return {
        "/": {
            "get": {
                "operationId": "ServiceHealthCheck",
                "description": "Simple health check.",
                "responses": {"200": _said("The service is up.", _TEXT, version, "text/plain")},
                "security": [],
            }
        },
        target.path: {"post": _scoring(version, is_script=target.served.record.entry is not None)},
        document: {"get": _description(version)},
    }


def _description(version: str) -> dict[str, Any]:
    shape = {"type": "string", "enum": list(VERSIONS), "default": "2"}
    chosen = {"name": "version", "in": "query", "description": "Of Swagger or OpenAPI."}
    given = {**chosen, **shape} if version == "2" else {**chosen, "schema": shape}
    good = _said("The document.", {"type": "object"}, version)
    return {
        "operationId": "GetSwaggerSpec",
        "description": "This document.",
        "parameters": [given],
        "responses": {"200": good, **_errors(version, 401, 404, 431, 503)},
    }


def _scoring(version: str, *, is_script: bool) -> dict[str, Any]:
    taken = _refer("ServiceInput", version)
    in_body = {"name": "serviceInputPayload", "in": "body", "required": True, "schema": taken}
    body = {"required": True, "content": {"application/json": {"schema": taken}}}
    good = _said("The predictions.", _refer("ServiceOutput", version), version)
    # a script chooses the status and the body of its answers
    bad = {"default": {"description": "What was wrong, or what else the script answers."}}
    others = bad if is_script else _errors(version, 400, 401, 404, 413, 415, 429, 431, 500, 503)
    return {
        "operationId": "RunMLService",
        "description": "Score rows: one entry in the answer per row.",
        **({"parameters": [in_body]} if version == "2" else {"requestBody": body}),
        "responses": {"200": good, **others},
    }


_MEANINGS = {
    400: "The body or a row is wrong.",
    401: "No token or key, or not a valid one.",
    404: "No such model, version or endpoint.",
    413: "Too many rows or bytes.",
    415: "A content type that is not taken.",
    429: "Too many requests wait for this model; try again.",
    431: "The request id is too long.",
    500: "The model itself raised.",
    503: "Not now: a model is loading, a store is away, or the request waited too long.",
}
#: Refused after it was known which model is asked: what helps to mend it is always said.
_EXPLAINED = (400, 413, 415, 431)


def _errors(version: str, *statuses: int) -> dict[str, Any]:
    names = {s: "RefusalResponse" if s in _EXPLAINED else "ErrorResponse" for s in statuses}
    return {str(s): _said(_MEANINGS[s], _refer(name, version), version) for s, name in names.items()}


def _said(meaning: str, schema: Schema, version: str, kind: str = "application/json") -> dict[str, Any]:
    """One answer of an operation."""
    given = {"schema": schema}
    return {"description": meaning, **(given if version == "2" else {"content": {kind: given}})}


def _refer(name: str, version: str) -> Schema:
    return {"$ref": ("#/definitions/" if version == "2" else "#/components/schemas/") + name}
