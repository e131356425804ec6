"""Azure's scoring server: `{"data": [[…]], "method": "predict"}`, answered by a bare array; and its v2
body `{"input_data": {"columns": […], "index": […], "data": [[…]]}}`."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.schema import ArraySchema
from fitq.scoring.dialects.form import Dialect, Input, bare, split_frame


def _read(body: dict[str, Any]) -> Input:
    return Input(body["data"], "$.data", method=body.get("method"))


def _read_named(body: dict[str, Any]) -> Input:
    return split_frame(body["input_data"], "$.input_data", body.get("method"))


DIALECT = Dialect("data", _read, bare, fields=("method",))
NAMED = Dialect("input_data", _read_named, bare, fields=("method",))


def fast_decoder(schema: ArraySchema) -> msgspec.json.Decoder[Any]:
    """Decodes the usual body straight to rows; what it refuses is then told apart and explained."""
    fields: list[tuple[str, Any, Any]] = [
        ("data", schema.rows_type, msgspec.NODEFAULT),
        ("method", str | None, None),
    ]
    body = msgspec.defstruct("AzureBody", fields, forbid_unknown_fields=True)
    return msgspec.json.Decoder(body)
