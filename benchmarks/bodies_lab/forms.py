"""The same rows in every wire format that scoring takes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bodies_lab.kinds import Kind

JSON, CSV, NPY, TENSOR = "application/json", "text/csv", "application/x-npy", "application/octet-stream"
JSON_BYTES = "inference-header-content-length"


class Ask(NamedTuple):
    """A request to score."""

    path: str
    content: bytes
    headers: dict[str, str]


def dumps(body: object) -> bytes:
    """JSON, also of what is none: NaN, and halves of characters."""
    return json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def _json(path: str, make: Callable[[Kind, list[Any]], Any]) -> Callable[[Kind, list[Any]], Ask]:
    return lambda kind, rows: Ask(path.format(kind.name), dumps(make(kind, rows)), {"content-type": JSON})


def _records(kind: Kind, rows: list[Any]) -> list[Any]:
    """Rows as objects where they have names, else as they are."""
    return [dict(zip(kind.names, r, strict=False)) if kind.names and isinstance(r, list) else r for r in rows]


def _split(kind: Kind, rows: list[Any]) -> dict[str, Any]:
    return {"columns": kind.names, "data": rows} if kind.names else {"data": rows}


def _columns(kind: Kind, rows: list[Any]) -> Any:
    if not kind.names or not all(isinstance(r, list) and len(r) == len(kind.names) for r in rows):
        return rows
    return {name: [r[i] for r in rows] for i, name in enumerate(kind.names)}


def _listed(rows: list[Any]) -> list[list[Any]]:
    return [r if isinstance(r, list) else [r] for r in rows]


def _by_column(kind: Kind, rows: list[Any]) -> dict[str, list[Any]]:
    """The columns of rows by name; empty where all are of one kind and nameless."""
    names = kind.names or ([f"column-{i}" for i in range(len(kind.rows[0]))] if _is_mixed(kind) else [])
    listed = _listed(rows)
    return {n: [r[i] if i < len(r) else None for r in listed] for i, n in enumerate(names)}


def _is_mixed(kind: Kind) -> bool:
    return isinstance(kind.rows[0], list) and len({type(v) for v in kind.rows[0]}) > 1


def _tensor(name: str, array: Any, values: list[Any]) -> dict[str, Any]:
    datatype = {"i": "INT64", "b": "BOOL", "U": "BYTES"}.get(array.dtype.kind, "FP64")
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": values}


def _tensors(kind: Kind, rows: list[Any], *, is_flat: bool = True) -> dict[str, Any]:
    columns = _by_column(kind, rows)
    if columns:
        return {"inputs": [_tensor(n, _array(c), c) for n, c in columns.items()]}
    flat = [v for r in _listed(rows) for v in r]
    return {"inputs": [_tensor("x", _array(rows), flat if is_flat else rows)]}


def _csv(path: str) -> Callable[[Kind, list[Any]], Ask]:
    def ask(kind: Kind, rows: list[Any]) -> Ask:
        lines = [kind.names] if kind.names else []
        lines += _listed(rows)
        text = "\n".join(",".join("" if v is None else str(v) for v in line) for line in lines)
        return Ask(path.format(kind.name), text.encode("utf-8", "surrogatepass"), {"content-type": CSV})

    return ask


def _array(rows: list[Any]) -> Any:
    try:
        array = np.array(rows)
    except (ValueError, OverflowError):  # ragged, or too large for any type
        array = np.zeros((1, 1))
    return array.astype(str) if array.dtype == object else array


def _table(kind: Kind, rows: list[Any]) -> Any:
    """Rows as an array whose fields are the columns, where those differ in kind."""
    columns = {name: _array(values) for name, values in _by_column(kind, rows).items()}
    if not columns or not _is_mixed(kind) or any(c.ndim != 1 for c in columns.values()):
        return _array(rows)
    table = np.zeros(len(rows), dtype=[(n, c.dtype) for n, c in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def npy(array: Any) -> bytes:
    """An array file."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _npy(path: str) -> Callable[[Kind, list[Any]], Ask]:
    return lambda kind, rows: Ask(path.format(kind.name), npy(_table(kind, rows)), {"content-type": NPY})


def _binary(kind: Kind, rows: list[Any]) -> Ask:
    """Tensors whose values follow the JSON."""
    columns = {n: _array(c) for n, c in _by_column(kind, rows).items()} or {"x": _array(rows)}
    inputs, values = [], b""
    for name, array in columns.items():
        if array.dtype.kind == "U":
            texts = [t.encode("utf-8", "replace") for t in array.ravel().tolist()]
            data = b"".join(len(t).to_bytes(4, "little") + t for t in texts)
        else:
            data = array.tobytes()
        told = _tensor(name, array, [])
        del told["data"]
        inputs.append({**told, "parameters": {"binary_data_size": len(data)}})
        values += data
    head = dumps({"inputs": inputs})
    headers = {"content-type": TENSOR, JSON_BYTES: str(len(head))}
    return Ask(f"/v2/models/{kind.name}/infer", head + values, headers)


#: name → how rows are asked for in that form
FORMS: dict[str, Callable[[Kind, list[Any]], Ask]] = {
    "azure": _json("/models/{}/score", lambda _, rows: {"data": rows}),
    "azure records": _json("/models/{}/score", lambda k, rows: {"data": _records(k, rows)}),
    "azure version": _json("/models/{}/versions/1/score", lambda _, rows: {"data": rows}),
    "azure named": _json("/models/{}/score", lambda k, rows: {"input_data": _split(k, rows)}),
    "kserve": _json("/v1/models/{}:predict", lambda _, rows: {"instances": rows}),
    "tensors": _json("/v2/models/{}/infer", _tensors),
    "tensors nested": _json("/v2/models/{}/infer", lambda k, rows: _tensors(k, rows, is_flat=False)),
    "tensors version": _json("/v2/models/{}/versions/1/infer", _tensors),
    "tensors among others": _json("/models/{}/score", _tensors),
    "mlflow inputs": _json("/models/{}/invocations", lambda k, rows: {"inputs": _columns(k, rows)}),
    "mlflow instances": _json("/models/{}/invocations", lambda k, rows: {"instances": _records(k, rows)}),
    "mlflow split": _json("/models/{}/invocations", lambda k, rows: {"dataframe_split": _split(k, rows)}),
    "mlflow records": _json(
        "/models/{}/invocations", lambda k, rows: {"dataframe_records": _records(k, rows)}
    ),
    "mlflow params": _json("/models/{}/invocations", lambda _, rows: {"instances": rows, "params": {}}),
    "mlflow csv": _csv("/models/{}/invocations"),
    "sagemaker rows": _json("/models/{}/invocations", lambda _, rows: rows),
    "sagemaker npy": _npy("/models/{}/invocations"),
    "csv": _csv("/models/{}/score"),
    "npy": _npy("/models/{}/score"),
    "binary": _binary,
}
