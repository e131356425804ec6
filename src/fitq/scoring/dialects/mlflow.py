"""MLflow's `/invocations`: `inputs`, `instances`, `dataframe_split` or `dataframe_records` →
`{"predictions": …}`. `inputs` may also be an object of columns; `params` may hold the method.

`instances` are KServe's as well, whose `signature_name` is then no mistake."""

from __future__ import annotations

from typing import Any

from fitq.errors import InvalidRequest
from fitq.scoring.dialects.form import Dialect, Input, one_method, split_frame, wrapped
from fitq.wording import shown


def _inputs(body: dict[str, Any]) -> Input:
    value = body["inputs"]
    if not isinstance(value, dict):
        return Input(value, "$.inputs", method=_method(body))
    lengths = {name: len(v) if isinstance(v, list) else -1 for name, v in value.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        expected = "lists of equal length by column name"
        message = "The columns of 'inputs' are not lists of equal length."
        raise InvalidRequest(message, expected=expected, got=str(lengths)[:200], at="$.inputs")
    rows = [list(row) for row in zip(*value.values(), strict=True)]
    return Input(rows, "$.inputs", list(value), _method(body))


def _instances(body: dict[str, Any]) -> Input:
    return Input(body["instances"], "$.instances", method=_method(body))


def _split(body: dict[str, Any]) -> Input:
    return split_frame(body["dataframe_split"], "$.dataframe_split", _method(body))


def _records(body: dict[str, Any]) -> Input:
    return Input(body["dataframe_records"], "$.dataframe_records", method=_method(body))


def _method(body: dict[str, Any]) -> object:
    params = body.get("params")
    if params is None:
        return body.get("method")
    if not isinstance(params, dict) or params.keys() - {"method"}:
        raise InvalidRequest(
            "'params' takes only 'method'.", expected='{"method": …}', got=shown(params), at="$.params"
        )
    return one_method(("$.method", body.get("method")), ("$.params.method", params.get("method")))


_FIELDS = ("method", "params")
INSTANCES = Dialect("instances", _instances, wrapped, fields=(*_FIELDS, "signature_name"))
DIALECTS = (
    INSTANCES,
    Dialect("inputs", _inputs, wrapped, fields=_FIELDS),
    Dialect("dataframe_split", _split, wrapped, fields=_FIELDS),
    Dialect("dataframe_records", _records, wrapped, fields=_FIELDS),
)
