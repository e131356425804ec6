"""MLflow's `/invocations`: `inputs`, `instances`, `dataframe_split` or `dataframe_records` →
`{"predictions": …}`. `inputs` may also be an object of columns."""

from __future__ import annotations

from typing import Any

from fitq.errors import InvalidRequest
from fitq.scoring.dialects import kserve
from fitq.scoring.dialects.form import Dialect, Input, split_frame


def _inputs(body: dict[str, Any]) -> Input:
    value = body["inputs"]
    if not isinstance(value, dict):
        return Input(value, "$.inputs")
    lengths = {name: len(v) if isinstance(v, list) else -1 for name, v in value.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        expected = "lists of equal length by column name"
        message = "The columns of 'inputs' are not lists of equal length."
        raise InvalidRequest(message, expected=expected, got=str(lengths)[:200], at="$.inputs")
    rows = [list(row) for row in zip(*value.values(), strict=True)]
    return Input(rows, "$.inputs", list(value))


def _write(predictions: Any) -> Any:
    return {"predictions": predictions}


_READERS = {
    "inputs": _inputs,
    "dataframe_split": lambda body: split_frame(body["dataframe_split"], "$.dataframe_split"),
    "dataframe_records": lambda body: Input(body["dataframe_records"], "$.dataframe_records"),
}
DIALECTS = tuple(Dialect(key, read, _write) for key, read in _READERS.items())
#: what `/invocations` takes
INVOCATIONS = (*DIALECTS, kserve.DIALECT)
