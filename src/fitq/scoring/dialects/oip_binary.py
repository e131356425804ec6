"""The binary form of the Open Inference Protocol: JSON, and behind it the values of the tensors.

The header `Inference-Header-Content-Length` tells where the JSON ends, and each tensor's parameter
`binary_data_size` how long its values are. Those are little-endian; each text stands behind its length in
four bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from fitq.scoring.dialects.form import Framing, Written
from fitq.scoring.dialects.tensors import DTYPES, check_datatype, output_of, parameters_of, wrong
from fitq.twice import refuse_twice

MEDIA_TYPE = "application/octet-stream"
JSON_BYTES = "inference-header-content-length"  #: the header
_MOST_DIGITS = 18


def _decode(body: bytes, json_bytes: str) -> Any:
    """A body, decoded, with the tensors' values as arrays or texts in `data`.

    Raises:
        InvalidRequest: the sizes do not fit the body, its first part is not JSON, or a tensor has no type.
    """
    size = int(json_bytes) if json_bytes.isdecimal() and len(json_bytes) <= _MOST_DIGITS else -1
    if not 0 <= size <= len(body):
        raise wrong(f"header {JSON_BYTES}", f"a number of bytes up to {len(body)}", json_bytes[:100])
    try:
        decoded = msgspec.json.decode(body[:size])
    except (ValueError, RecursionError) as exc:
        raise wrong("$", f"{size} bytes of JSON before the values", str(exc)[:100]) from exc
    refuse_twice(body[:size], decoded)
    tensors = decoded.get("inputs") if isinstance(decoded, dict) else None
    start = size
    for i, tensor in enumerate(tensors if isinstance(tensors, list) else []):
        path = f"$.inputs[{i}]"
        # so that it is of no other protocol
        datatype = check_datatype(tensor if isinstance(tensor, dict) else {}, path)
        length = parameters_of(tensor, path).get("binary_data_size")
        if length is None:
            continue
        if type(length) is not int or not 0 <= length <= len(body) - start:
            at = f"{path}.parameters.binary_data_size"
            raise wrong(at, f"at most {len(body) - start}, as many bytes are left", str(length)[:100])
        tensor["data"] = _values(datatype, body[start : start + length], path)
        start += length
    if start != len(body):
        raise wrong("$", f"{start} bytes, as the tensors say", f"{len(body)} bytes")
    return decoded


def _values(datatype: str, data: bytes, path: str) -> Any:
    if datatype == "BYTES":
        return _texts(data, path)
    dtype = np.dtype(DTYPES[datatype])
    if len(data) % dtype.itemsize:
        raise wrong(f"{path}.parameters.binary_data_size", f"a multiple of {dtype.itemsize}", str(len(data)))
    if datatype == "BOOL" and data.translate(None, b"\0\1"):
        raise wrong(f"{path}.data", "bytes that are 0 or 1", "other bytes")
    return np.frombuffer(data, dtype)


def _texts(data: bytes, path: str) -> list[str]:
    texts, start = [], 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        try:
            if end > len(data):
                raise ValueError("the last text is cut short")
            texts.append(data[start + 4 : end].decode())
        except ValueError as exc:
            raise wrong(f"{path}.data", "texts in UTF-8, each behind its length", str(exc)) from exc
        start = end
    return texts


def is_wanted(body: dict[str, Any]) -> bool:
    """Whether an answer's values are asked for in this form; the body was checked."""
    if not body.get("parameters") and not body.get("outputs"):
        return False
    wanted = parameters_of(output_of(body), "$.outputs[0]").get("binary_data")
    return bool(parameters_of(body, "$").get("binary_data_output") if wanted is None else wanted)


def written(answer: dict[str, Any]) -> Written:
    """An answer with one output, whose values follow the JSON. A text that is missing is empty."""
    tensor = answer["outputs"][0]
    values = tensor.pop("data")
    if tensor["datatype"] == "BYTES":
        texts = ((text or "").encode("utf-8", "replace") for text in values)
        data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    else:
        data = values.astype(DTYPES[tensor["datatype"]]).tobytes()
    tensor["parameters"] = {"binary_data_size": len(data)}
    head = msgspec.json.encode(answer)
    return Written(head + data, MEDIA_TYPE, [(JSON_BYTES.encode(), str(len(head)).encode())])


FRAMING = Framing(JSON_BYTES, _decode)
