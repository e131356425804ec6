"""Azure's scoring server: `{"data": [[…]], "method": "predict"}`, answered by a bare array; and its v2
body `{"input_data": {"columns": […], "index": […], "data": [[…]]}}`."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.schema import ArraySchema
from fitq.scoring.dialects.form import Dialect, Input, split_frame

DIALECT = Dialect("data", lambda body: Input(body["data"], "$.data"), lambda predictions: predictions)
NAMED = Dialect(
    "input_data",
    lambda body: split_frame(body["input_data"], "$.input_data"),
    lambda predictions: predictions,
)


def fast_decoder(schema: ArraySchema) -> msgspec.json.Decoder[Any]:
    """Decodes the usual body straight to rows; what it refuses is then told apart and explained."""
    fields: list[tuple[str, Any, Any]] = [
        ("data", schema.rows_type, msgspec.NODEFAULT),
        ("method", str | None, None),
    ]
    body = msgspec.defstruct("AzureBody", fields, forbid_unknown_fields=True)
    return msgspec.json.Decoder(body)
