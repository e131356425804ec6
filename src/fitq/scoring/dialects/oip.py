"""Open Inference Protocol (KServe V2): rows as one tensor, or a tensor per column, in JSON or binary.

    {"inputs": [{"name", "shape", "datatype", "data"}], "outputs": [{"name": "predict"}], "id", "parameters"}
    → {"model_name", "model_version", "id", "outputs": [{"name", "shape", "datatype", "data"}]}

The output is named for the method that made it. String labels are BYTES. In the binary form the JSON is
followed by the values of the tensors, little-endian; the header `Inference-Header-Content-Length` tells where
the JSON ends, and each tensor's parameter `binary_data_size` how long its values are.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fitq.errors import InvalidRequest
from fitq.records import InputSchema, ModelRecord
from fitq.schema import ArraySchema, Rows
from fitq.scoring.dialects.form import Dialect, Input, Reply
from fitq.twice import refuse_twice

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


MEDIA_TYPE = "application/octet-stream"  #: of the binary form
JSON_BYTES = "inference-header-content-length"  #: the header of the binary form
_DTYPES = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}


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
    return (rows, {"id": usual.id}) if rows.exact else None


def with_binary(body: bytes, json_bytes: str) -> Any:
    """A body of the binary form, decoded, with the tensors' values as arrays or texts in `data`.

    Raises:
        InvalidRequest: the sizes do not fit the body, its first part is not JSON, or a tensor has no type.
    """
    size = int(json_bytes[:18]) if json_bytes.isdecimal() else -1
    if not 0 <= size <= len(body):
        raise _wrong(f"header {JSON_BYTES}", f"a number of bytes up to {len(body)}", json_bytes[:100])
    try:
        decoded = msgspec.json.decode(body[:size])
    except (ValueError, RecursionError) as exc:
        raise _wrong("$", f"{size} bytes of JSON before the values", str(exc)[:100]) from exc
    refuse_twice(body[:size], decoded)
    tensors = decoded.get("inputs") if isinstance(decoded, dict) else None
    start = size
    for i, tensor in enumerate(tensors if isinstance(tensors, list) else []):
        datatype = tensor.get("datatype") if isinstance(tensor, dict) else None
        if not isinstance(datatype, str) or datatype not in _TYPES:  # so that it is of no other protocol
            raise _wrong(f"$.inputs[{i}].datatype", " or ".join(_TYPES), json.dumps(datatype)[:100])
        told = tensor.get("parameters")
        length = told.get("binary_data_size") if isinstance(told, dict) else None
        if length is None:
            continue
        if type(length) is not int or not 0 <= length <= len(body) - start:
            at = f"$.inputs[{i}].parameters.binary_data_size"
            raise _wrong(at, f"at most {len(body) - start}, as many bytes are left", str(length)[:100])
        tensor["data"] = _values(datatype, body[start : start + length], f"$.inputs[{i}]")
        start += length
    if start != len(body):
        raise _wrong("$", f"{start} bytes, as the tensors say", f"{len(body)} bytes")
    return decoded


def _values(datatype: str, data: bytes, path: str) -> Any:
    if datatype == "BYTES":
        return _texts(data, path)
    dtype = np.dtype(_DTYPES[datatype])
    if len(data) % dtype.itemsize:
        raise _wrong(f"{path}.parameters.binary_data_size", f"a multiple of {dtype.itemsize}", str(len(data)))
    return np.frombuffer(data, dtype)


def _texts(data: bytes, path: str) -> list[str]:
    """Each text behind its length in four bytes."""
    texts, start = [], 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        try:
            if end > len(data):
                raise ValueError("the last text is cut short")
            texts.append(data[start + 4 : end].decode())
        except ValueError as exc:
            raise _wrong(f"{path}.data", "texts in UTF-8, each behind its length", str(exc)) from exc
        start = end
    return texts


def wants_binary(body: Any) -> bool:
    """Whether the answer's values are asked for in the binary form."""
    parameters, outputs = body.get("parameters") or {}, body.get("outputs") or [{}]
    asked = outputs[0].get("parameters")
    wanted = asked.get("binary_data") if isinstance(asked, dict) else None
    return bool(parameters.get("binary_data_output") if wanted is None else wanted)


def write_binary(predictions: Any, reply: Reply) -> tuple[bytes, bytes]:
    """The JSON of an answer in the binary form, and the values that follow it."""
    answer = _write(predictions, reply)
    tensor = answer["outputs"][0]
    values = tensor.pop("data")
    if tensor["datatype"] == "BYTES":
        data = b"".join(len(v).to_bytes(4, "little") + v for v in (text.encode() for text in values))
    else:
        data = values.astype(_DTYPES[tensor["datatype"]]).tobytes()
    tensor["parameters"] = {"binary_data_size": len(data)}
    return msgspec.json.encode(answer), data


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


def _tensor(tensor: object, path: str) -> Any:
    """A tensor's data, nested as its shape says: a list, or an array if it came as one."""
    if not isinstance(tensor, dict) or not {"name", "shape", "datatype", "data"} <= tensor.keys():
        raise _wrong(path, "an object with name, shape, datatype and data", _shown(tensor))
    if not isinstance(tensor["name"], str):
        raise _wrong(f"{path}.name", "a string", json.dumps(tensor["name"])[:100])
    shape, datatype = tensor["shape"], tensor["datatype"]
    if not _is_shape(shape):
        raise _wrong(f"{path}.shape", "one or two sizes", json.dumps(shape)[:100])
    if not isinstance(datatype, str) or datatype not in _TYPES:
        raise _wrong(f"{path}.datatype", " or ".join(_TYPES), json.dumps(datatype)[:100])
    if isinstance(tensor["data"], np.ndarray):
        return _shaped(tensor["data"], shape, datatype, path)
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


def _shaped(array: NDArray[Any], shape: list[int], datatype: str, path: str) -> Any:
    """Values that came as an array, which are of the tensor's own type or were read as floats."""
    if array.size != math.prod(shape):
        raise _wrong(
            f"{path}.data", f"{math.prod(shape)} values, as shape {shape} says", f"{array.size} values"
        )
    if datatype not in _FLOATS and array.dtype != _DTYPES.get(datatype):
        raise _wrong(f"{path}.data", f"values of {datatype}", "numbers")
    return array.reshape(shape)


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


def _as_column(given: Any, path: str) -> list[Any]:
    value: list[Any] = given.tolist() if isinstance(given, np.ndarray) else given
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


def _shown(value: object) -> str:
    """JSON of it, in which values that came as bytes are counted."""
    return json.dumps(value, default=lambda array: f"{array.size} values")[:100]


def _wrong(at: str, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest(f"{at} must be {expected}, not {got}.", expected=expected, got=got, at=at)


def _are_tensors(inputs: object) -> bool:
    """MLflow's `inputs` are rows or columns."""
    return (
        isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], dict) and "datatype" in inputs[0]
    )


DIALECT = Dialect("inputs", _read, _write, fields=("id", "parameters", "outputs"), claims=_are_tensors)
