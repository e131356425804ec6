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

from fitq.schema import ArraySchema, Rows
from fitq.scoring.dialects.form import Dialect, Input, Reply, one_method
from fitq.scoring.dialects.tensors import parameters_of, tensor_of, values_of, wrong


class _Floats(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: tuple[int, int]
    datatype: Literal["FP64", "FP32"]
    data: list[float]


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    inputs: tuple[_Floats]
    id: str = ""


_decoder = msgspec.json.Decoder(_Usual)


def read_usual(body: bytes, schema: ArraySchema) -> tuple[Rows, dict[str, str]] | None:
    """The usual body, one flat tensor of floats, straight to rows, and what its answer repeats; None if it is
    another, or wrong."""
    if not schema.is_of_floats:
        return None
    try:
        usual = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    (tensor,) = usual.inputs
    (size, width), data = tensor.shape, tensor.data
    is_whole = size > 0 and width == schema.schema.width and size * width == len(data)
    if not is_whole or body.count(b":") != (6 if usual.id else 5):  # or a field may stand in it twice
        return None
    rows = schema.pack([tuple(data[i : i + width]) for i in range(0, len(data), width)])
    # what no float32 holds is far from exact as a float64
    return (rows, {"id": usual.id}) if rows.exact else None


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


def output_of(body: dict[str, Any]) -> dict[str, Any]:
    """The one output that is asked for; empty if none is.

    Raises:
        InvalidRequest: there are several, or it is none.
    """
    outputs = body.get("outputs")
    if outputs is None or outputs == []:
        return {}
    if not isinstance(outputs, list) or len(outputs) > 1 or not isinstance(outputs[0], dict):
        raise wrong("$.outputs", "one output, named for a method", json.dumps(outputs)[:100])
    output: dict[str, Any] = outputs[0]
    return output


def written(predictions: Any, reply: Reply) -> dict[str, Any]:
    """The answer, with the predictions as a tensor."""
    answer = {
        "model_name": reply.model.name,
        "model_version": str(reply.model.version),
        "outputs": [tensor_of(predictions, reply.method)],
    }
    return {**answer, "id": str(reply.request["id"])} if reply.request.get("id") else answer


def _are_tensors(inputs: object) -> bool:
    """MLflow's `inputs` are rows or columns."""
    return (
        isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], dict) and "datatype" in inputs[0]
    )


DIALECT = Dialect("inputs", _read, written, fields=("id", "parameters", "outputs"), claims=_are_tensors)
