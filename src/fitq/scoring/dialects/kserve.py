"""KServe V1: `{"instances": [[…]]}` → `{"predictions": […]}`."""

from __future__ import annotations

from fitq.scoring.dialects.form import Dialect, Input

DIALECT = Dialect(
    "instances",
    lambda body: Input(body["instances"], "$.instances"),
    lambda predictions: {"predictions": predictions},
    fields=("signature_name",),
)
