"""KServe V1: `{"instances": [[…]]}` → `{"predictions": […]}`."""

from __future__ import annotations

from typing import Any

from fitq.scoring.dialects.form import Dialect, Input, wrapped


def _read(body: dict[str, Any]) -> Input:
    return Input(body["instances"], "$.instances", method=body.get("method"))


DIALECT = Dialect("instances", _read, wrapped, fields=("method", "signature_name"))
