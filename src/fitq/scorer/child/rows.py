"""Rows as they came, in the form that a model was fitted on."""

import json
from typing import Any, Dict, List, Optional, Tuple

from .loading import Loaded


def model_input(loaded: Loaded, rows: Dict[str, Any], payload: bytearray) -> Any:
    """Rows in the form the model was fitted on: matrix, DataFrame or list of texts."""
    if rows["layout"] == "texts":
        return json.loads(payload.decode("utf-8"))[0]
    import numpy as np

    if rows["layout"] == "matrix":
        matrix = np.frombuffer(payload, dtype=rows["dtype"]).reshape(rows["shape"])
        return _frame(matrix, rows["names"]) if loaded.names and rows["names"] else matrix
    columns = [_column(v, k) for v, k in zip(json.loads(payload.decode("utf-8")), rows["kinds"])]
    if loaded.names and rows["names"]:
        frame = _frame(None, rows["names"], columns)
        if frame is not None:
            return frame
    if all(c.dtype != object for c in columns):
        return np.column_stack(columns)
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        table[:, i] = column
    return table


def checked_matrix(loaded: Loaded, rows: Dict[str, Any], payload: bytearray) -> Any:
    """The rows as a matrix that needs no further check, where the parent says they are that; else None.

    In the same order in memory as scikit-learn would find it: the last bit of a product depends on that.
    """
    if not rows.get("checked") or loaded.goes_by_name or loaded.names not in ([], rows["names"]):
        return None
    import numpy as np

    matrix = np.frombuffer(payload, dtype=rows["dtype"]).reshape(rows["shape"])
    return np.array(matrix, order=frame_order()) if loaded.names else matrix


def frame_order(known: List[str] = []) -> Any:  # noqa: B006  # found out once
    """How the values of a DataFrame made of a matrix lie in memory: by pandas' version "C" or "F"."""
    if not known:
        import numpy as np

        values = np.asarray(_frame(np.zeros((2, 2)), ["a", "b"]))
        known.append("C" if values.flags.c_contiguous else "F")
    return known[0]


def _column(values: List[Any], kind: str) -> Any:
    import numpy as np

    if kind == "string":
        column = np.empty(len(values), dtype=object)
        column[:] = [np.nan if v is None else v for v in values]
        return column
    if kind == "number" or None in values:
        return np.array(values, dtype=float)
    return np.array(values, dtype=bool if kind == "boolean" else np.int64)


def _frame(matrix: Any, names: List[str], columns: Optional[List[Any]] = None) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return matrix
    if columns is None:
        return pd.DataFrame(matrix, columns=names)
    return pd.DataFrame(dict(zip(names, columns)), columns=names)


def as_request(schema: Dict[str, Any], rows: List[Any]) -> Tuple[Dict[str, Any], bytearray]:
    """Example rows in the form in which the parent sends rows."""
    kinds = [c["kind"] for c in schema["columns"]]
    names = [c["name"] for c in schema["columns"] if c["name"]]
    if schema["layout"] == "texts":
        return {"layout": "texts"}, bytearray(json.dumps([rows]).encode("utf-8"))
    if set(kinds) == {"number"}:
        import numpy as np

        matrix = np.array(rows, dtype=float)
        shaped = {"layout": "matrix", "dtype": "<f8", "shape": matrix.shape, "names": names}
        return shaped, bytearray(matrix.tobytes())
    columns = [list(c) for c in zip(*rows)]
    described = {"layout": "table", "kinds": kinds, "names": names}
    return described, bytearray(json.dumps(columns).encode("utf-8"))
