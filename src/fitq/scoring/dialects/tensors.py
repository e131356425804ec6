"""One tensor of the Open Inference Protocol: `{"name", "shape", "datatype", "data"}`, read and written."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitq.errors import InvalidRequest
from fitq.scoring.dialects.arrays import as_array

_INTEGERS = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
_FLOATS = {f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)}
#: datatype → numpy's word for it; texts have none
DTYPES = {**_INTEGERS, **_FLOATS, "BOOL": "?"}
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys(_FLOATS, (int, float)),
    "BOOL": (bool,),
    "BYTES": (str,),
}
_OF_NUMPY = {"f": "FP64", "i": "INT64", "u": "UINT64", "b": "BOOL"}


def _largest(dtype: str) -> float:
    """The largest float64 that is not infinite as a smaller float: that rounds to the nearest."""
    if dtype == "<f8":
        return math.inf
    most = np.finfo(dtype).max
    halfway = float(most) + float(most - np.nextafter(most, most.dtype.type(0))) / 2
    return math.nextafter(halfway, 0.0)


#: datatype → the least and the greatest number that it holds
_BOUNDS: dict[str, tuple[float, float]] = {
    **{name: (int(np.iinfo(d).min), int(np.iinfo(d).max)) for name, d in _INTEGERS.items()},
    **{name: (-_largest(d), _largest(d)) for name, d in _FLOATS.items()},
}


def check_datatype(tensor: dict[str, Any], path: str) -> str:
    """The datatype of a tensor.

    Raises:
        InvalidRequest: it has none that the protocol knows.
    """
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in _TYPES:
        raise wrong(f"{path}.datatype", " or ".join(_TYPES), json.dumps(datatype)[:100])
    return datatype


def values_of(tensor: object, path: str) -> Any:
    """A tensor's data, nested as its shape says: a list, or an array if it came as one.

    Raises:
        InvalidRequest: says which part of it is wrong.
    """
    if not isinstance(tensor, dict) or not {"name", "shape", "datatype", "data"} <= tensor.keys():
        raise wrong(path, "an object with name, shape, datatype and data", _shown(tensor))
    if not isinstance(tensor["name"], str):
        raise wrong(f"{path}.name", "a string", json.dumps(tensor["name"])[:100])
    parameters_of(tensor, path)
    shape = tensor["shape"]
    if not _is_shape(shape):
        raise wrong(f"{path}.shape", "one or two sizes", json.dumps(shape)[:100])
    datatype = check_datatype(tensor, path)
    if isinstance(tensor["data"], np.ndarray):
        return _shaped(tensor["data"], shape, datatype, path)
    flat = _flat(tensor["data"])
    _check_size(len(flat), shape, path)
    for i, value in enumerate(flat):
        if value is not None and not _holds(datatype, value):
            raise wrong(f"{path}.data[{i}]", _told(datatype), json.dumps(value)[:100])
    if len(shape) == 1:
        return flat
    return [flat[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]


def parameters_of(part: dict[str, Any], path: str) -> dict[str, Any]:
    """The parameters of a body, a tensor or an output.

    Raises:
        InvalidRequest: they are no object.
    """
    parameters = part.get("parameters")
    if not isinstance(parameters, dict | None):
        raise wrong(f"{path}.parameters", "an object", json.dumps(parameters)[:100])
    return parameters or {}


def output_of(body: dict[str, Any]) -> dict[str, Any]:
    """The one output that a body asks for; empty if it names none.

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


def _holds(datatype: str, value: Any) -> bool:
    bounds = _BOUNDS.get(datatype)
    return type(value) in _TYPES[datatype] and (bounds is None or bounds[0] <= value <= bounds[1])


def _told(datatype: str) -> str:
    if datatype in _INTEGERS:
        least, greatest = _BOUNDS[datatype]
        return f"a value of {datatype}, from {least} to {greatest}"
    return f"a value of {datatype}"


def _shaped(array: NDArray[Any], shape: list[int], datatype: str, path: str) -> Any:
    """Values that came as an array, which are of the tensor's own type or were read as float64."""
    _check_size(array.size, shape, path)
    if array.dtype != DTYPES.get(datatype, "O"):
        if datatype not in _FLOATS:
            raise wrong(f"{path}.data", f"values of {datatype}", "numbers")
        if array.size and not np.abs(array).max() <= _BOUNDS[datatype][1]:
            raise wrong(f"{path}.data", _told(datatype), "a larger number")
    return array.reshape(shape)


def _check_size(size: int, shape: list[int], path: str) -> None:
    if size != math.prod(shape):
        raise wrong(f"{path}.data", f"{math.prod(shape)} values, as shape {shape} says", f"{size} values")


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


def tensor_of(predictions: Any, name: str) -> dict[str, Any]:
    """Predictions as a tensor; texts as a list. Rows of differing widths are sent as JSON texts."""
    array = as_array(predictions)
    datatype = _OF_NUMPY.get(array.dtype.kind, "BYTES")
    flat = array.ravel()
    data = flat if datatype != "BYTES" else flat.tolist()
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def wrong(at: str, expected: str, got: str) -> InvalidRequest:
    """The error for a part of a body."""
    return InvalidRequest(f"{at} must be {expected}, not {got}.", expected=expected, got=got, at=at)


def _shown(value: object) -> str:
    """JSON of it, in which values that came as bytes are counted."""
    return json.dumps(value, default=lambda array: f"{array.size} values")[:100]
