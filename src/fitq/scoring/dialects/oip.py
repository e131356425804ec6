"""Open Inference Protocol (KServe V2): rows as one tensor, or a tensor per column.

    {"inputs": [{"name", "shape", "datatype", "data"}], "outputs": [{"name": "predict"}], "id", "parameters"}
    → {"model_name", "model_version", "id", "outputs": [{"name", "shape", "datatype", "data"}]}

The output is named for the method that made it. String labels are BYTES. `oip_binary` has the form in which
the tensors' values follow the JSON.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
import numpy as np

from fitq.schema import ArraySchema
from fitq.scoring.answers import to_json
from fitq.scoring.dialects import oip_binary
from fitq.scoring.dialects.form import Asked, Dialect, Input, QuickReader, Reply, Written, one_method
from fitq.scoring.dialects.tensors import output_of, parameters_of, tensor_of, values_of, wrong


class _Floats(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: tuple[int, int]
    datatype: Literal["FP64", "FP32"]
    data: list[float]


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    inputs: tuple[_Floats]
    id: str = ""


_decode = msgspec.json.Decoder(_Usual).decode


def _quick(schema: ArraySchema) -> QuickReader:
    """Decodes the usual body, one flat tensor of floats, straight to rows."""
    columns = schema.schema.width

    def read(body: bytes) -> Asked | None:
        try:
            usual = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        (tensor,) = usual.inputs
        (size, width), data = tensor.shape, tensor.data
        is_whole = size > 0 and width == columns and size * width == len(data)
        if not is_whole or body.count(b":") != (6 if usual.id else 5):  # or a field may stand in it twice
            return None
        rows = schema.pack([tuple(data[i : i + width]) for i in range(0, len(data), width)])
        # what no float32 holds is far from exact as a float64
        return Asked(rows, None, {"id": usual.id}) if rows.exact else None

    return read if schema.is_of_floats else _nothing


def _nothing(_: bytes) -> None:
    """For models that take other things than floats."""


def _read(body: dict[str, Any]) -> Input:
    tensors = body["inputs"]
    if not isinstance(tensors, list) or not tensors:
        raise wrong("$.inputs", "a list of tensors", json.dumps(tensors)[:100])
    values = [values_of(t, f"$.inputs[{i}]") for i, t in enumerate(tensors)]
    method = _method(body)
    if len(tensors) == 1:
        return Input(values[0], "$.inputs[0].data", method=method)
    columns = [_as_column(v, f"$.inputs[{i}]") for i, v in enumerate(values)]
    if len({len(c) for c in columns}) > 1:
        lengths = ", ".join(str(len(c)) for c in columns)
        raise wrong("$.inputs", "tensors with the same number of rows", f"{lengths} rows")
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Input(rows, "$.inputs", [t["name"] for t in tensors], method)


def _as_column(given: Any, path: str) -> list[Any]:
    value: list[Any] = given.tolist() if isinstance(given, np.ndarray) else given
    if all(isinstance(row, list) and len(row) == 1 for row in value):
        return [row[0] for row in value]
    if any(isinstance(row, list) for row in value):
        raise wrong(f"{path}.shape", "[n] or [n, 1], as there are several inputs", "several columns")
    return value


def _method(body: dict[str, Any]) -> object:
    """From the parameters, or the name of the one output that is asked for."""
    parameters, output = parameters_of(body, "$"), output_of(body)
    for at, part, name in (
        ("$.parameters", parameters, "binary_data_output"),
        ("$.outputs[0].parameters", parameters_of(output, "$.outputs[0]"), "binary_data"),
    ):
        if not isinstance(part.get(name), bool | None):
            raise wrong(f"{at}.{name}", "true or false", json.dumps(part[name])[:100])
    return one_method(
        ("$.parameters.method", parameters.get("method")), ("$.outputs[0].name", output.get("name"))
    )


def _write(predictions: Any, reply: Reply) -> Written:
    answer = {
        "model_name": reply.model.name,
        "model_version": str(reply.model.version),
        "outputs": [tensor_of(predictions, reply.method)],
    }
    if reply.request.get("id"):
        answer["id"] = str(reply.request["id"])
    return oip_binary.written(answer) if oip_binary.is_wanted(reply.request) else Written(to_json(answer))


def _are_tensors(inputs: object) -> bool:
    """MLflow's `inputs` are rows or columns."""
    return (
        isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], dict) and "datatype" in inputs[0]
    )


DIALECT = Dialect(
    "inputs",
    _read,
    _write,
    fields=("id", "parameters", "outputs"),
    claims=_are_tensors,
    quick=_quick,
    framing=oip_binary.FRAMING,
    as_table=False,
)
