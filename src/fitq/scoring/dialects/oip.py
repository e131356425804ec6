"""Open Inference Protocol (KServe V2): rows as one tensor, or a tensor per column; JSON only.

    {"inputs": [{"name", "shape", "datatype", "data"}], "outputs": [{"name": "predict"}], "id", "parameters"}
    → {"model_name", "model_version", "id", "outputs": [{"name", "shape", "datatype", "data"}]}

The output is named for the method that made it. String labels are BYTES.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from fitq.errors import InvalidRequest
from fitq.records import InputSchema, ModelRecord
from fitq.scoring.dialects.form import Dialect, Input, Reply

_INTEGERS = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_FLOATS = {"FP16", "FP32", "FP64"}
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys(_FLOATS, (int, float)),
    "BOOL": (bool,),
    "BYTES": (str,),
}
_OF_KIND = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
_OF_NUMPY = {"f": "FP64", "i": "INT64", "u": "UINT64", "b": "BOOL"}


def _read(body: dict[str, Any]) -> Input:
    tensors = body["inputs"]
    if not isinstance(tensors, list) or not tensors:
        raise _wrong("$.inputs", "a list of tensors", json.dumps(tensors)[:100])
    values = [_tensor(t, f"$.inputs[{i}]") for i, t in enumerate(tensors)]
    method = _method(body)
    if len(tensors) == 1:
        return Input(values[0], "$.inputs[0].data", method=method)
    columns = [_as_column(v, f"$.inputs[{i}]") for i, v in enumerate(values)]
    if len({len(c) for c in columns}) > 1:
        lengths = ", ".join(str(len(c)) for c in columns)
        raise _wrong("$.inputs", "tensors with the same number of rows", f"{lengths} rows")
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Input(rows, "$.inputs", [t["name"] for t in tensors], method)


def _tensor(tensor: object, path: str) -> list[Any]:
    """A tensor's data, nested as its shape says."""
    if not isinstance(tensor, dict) or not {"name", "shape", "datatype", "data"} <= tensor.keys():
        raise _wrong(path, "an object with name, shape, datatype and data", json.dumps(tensor)[:100])
    if not isinstance(tensor["name"], str):
        raise _wrong(f"{path}.name", "a string", json.dumps(tensor["name"])[:100])
    shape, datatype = tensor["shape"], tensor["datatype"]
    if not _is_shape(shape):
        raise _wrong(f"{path}.shape", "one or two sizes", json.dumps(shape)[:100])
    if not isinstance(datatype, str) or datatype not in _TYPES:
        raise _wrong(f"{path}.datatype", " or ".join(_TYPES), json.dumps(datatype)[:100])
    flat = _flat(tensor["data"])
    if len(flat) != math.prod(shape):
        raise _wrong(
            f"{path}.data", f"{math.prod(shape)} values, as shape {shape} says", f"{len(flat)} values"
        )
    for i, value in enumerate(flat):
        if value is not None and type(value) not in _TYPES[datatype]:
            raise _wrong(f"{path}.data[{i}]", f"a value of {datatype}", json.dumps(value)[:100])
    if len(shape) == 1:
        return flat
    return [flat[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]


def _is_shape(shape: object) -> bool:
    """Sizes of rows, and of columns where there are some: rows of nothing would cost the sender nothing."""
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2:
        return False
    return all(type(n) is int and n >= 0 for n in shape) and 0 not in shape[1:]


def _flat(data: object) -> list[Any]:
    """Flat or nested data, flat; what is nested deeper than a tensor of two sizes fails the type check."""
    if not isinstance(data, list):
        return [data]
    return [value for part in data for value in (part if isinstance(part, list) else [part])]


def _as_column(value: list[Any], path: str) -> list[Any]:
    if all(isinstance(row, list) and len(row) == 1 for row in value):
        return [row[0] for row in value]
    if any(isinstance(row, list) for row in value):
        raise _wrong(f"{path}.shape", "[n] or [n, 1], as there are several inputs", "several columns")
    return value


def _method(body: dict[str, Any]) -> object:
    """From the parameters, or the name of the one output that is asked for."""
    parameters, outputs = body.get("parameters") or {}, body.get("outputs") or []
    if not isinstance(parameters, dict):
        raise _wrong("$.parameters", "an object", json.dumps(parameters)[:100])
    if not isinstance(outputs, list) or len(outputs) > 1 or not all(isinstance(o, dict) for o in outputs):
        raise _wrong("$.outputs", "one output, named for a method", json.dumps(outputs)[:100])
    return parameters.get("method") or (outputs[0].get("name") if outputs else None)


def _write(predictions: Any, reply: Reply) -> Any:
    answer = {
        "model_name": reply.model.name,
        "model_version": str(reply.model.version),
        "outputs": [output(predictions, reply.method)],
    }
    return {**answer, "id": str(reply.request["id"])} if reply.request.get("id") else answer


def output(predictions: Any, name: str) -> dict[str, Any]:
    """Predictions as a tensor. Rows of differing widths are sent as JSON texts."""
    try:
        array = np.asarray(predictions)
    except ValueError:
        array = np.asarray([json.dumps(p) for p in predictions])
    datatype = _OF_NUMPY.get(array.dtype.kind, "BYTES")
    flat = array.ravel()
    data = flat if datatype != "BYTES" else [str(v) for v in flat.tolist()]
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def metadata(record: ModelRecord, versions: list[int], answer: Any) -> dict[str, Any]:
    """What the protocol tells about a model; sizes that vary are -1."""
    told = output(answer, record.default_method)
    return {
        "name": record.name,
        "versions": [str(v) for v in versions],
        "platform": "scikit-learn",
        "inputs": _inputs(record.input_schema) if record.input_schema else [],
        "outputs": [{"name": told["name"], "datatype": told["datatype"], "shape": [-1, *told["shape"][1:]]}],
    }


def _inputs(schema: InputSchema) -> list[dict[str, Any]]:
    kinds = {c.kind for c in schema.columns}
    if schema.layout == "texts":
        return [{"name": "input-0", "datatype": "BYTES", "shape": [-1]}]
    if len(kinds) == 1:
        return [{"name": "input-0", "datatype": _OF_KIND[kinds.pop()], "shape": [-1, schema.width]}]
    return [
        {"name": c.name or f"column-{i}", "datatype": _OF_KIND[c.kind], "shape": [-1]}
        for i, c in enumerate(schema.columns)
    ]


def _wrong(at: str, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest(f"{at} must be {expected}, not {got}.", expected=expected, got=got, at=at)


DIALECT = Dialect("inputs", _read, _write, fields=("id", "parameters", "outputs"))
