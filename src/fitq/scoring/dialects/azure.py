"""Azure's scoring server: `{"data": [[…]], "method": "predict"}`, answered by a bare array; and its v2
body `{"input_data": {"columns": […], "index": […], "data": [[…]]}}`."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.schema import ArraySchema
from fitq.scoring.dialects.form import Asked, Dialect, Input, QuickReader, bare, split_frame


def _read(body: dict[str, Any]) -> Input:
    return Input(body["data"], "$.data", method=body.get("method"))


def _read_named(body: dict[str, Any]) -> Input:
    return split_frame(body["input_data"], "$.input_data", body.get("method"))


def _quick(schema: ArraySchema) -> QuickReader:
    """Decodes the usual body straight to rows."""
    fields: list[tuple[str, Any, Any]] = [
        ("data", schema.rows_type, msgspec.NODEFAULT),
        ("method", str | None, None),
    ]
    body_type: Any = msgspec.defstruct("AzureBody", fields, forbid_unknown_fields=True)
    decode = msgspec.json.Decoder(body_type).decode

    def read(body: bytes) -> Asked | None:
        try:
            usual = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if body.count(b":") != 1 + (usual.method is not None):
            return None  # a field may stand in it twice
        rows = schema.pack(usual.data)
        return Asked(rows, usual.method) if rows.exact else None

    return read


DIALECT = Dialect("data", _read, bare, fields=("method",), quick=_quick)
NAMED = Dialect("input_data", _read_named, bare, fields=("method",))
