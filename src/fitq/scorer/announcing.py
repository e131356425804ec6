"""How rows are announced to a scorer child, and what its answers carry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from fitq.records import InputSchema
from fitq.scorer.arrays import arrays_in

if TYPE_CHECKING:  # at run time it would bring inference-schema to programs that only inspect
    from fitq.schema import Rows


def table(schema: InputSchema) -> dict[str, Any]:
    """How rows are announced that are not one matrix."""
    if schema.layout == "texts":
        return {"layout": "texts"}
    return {"layout": "table", "kinds": [c.kind for c in schema.columns], "names": _names(schema)}


class Announced(NamedTuple):
    """How matrices of one model are announced."""

    usual: bytes
    missing: bytes = b""  #: the same of rows in which values are missing, where the model takes such

    def of(self, rows: Rows) -> bytes:
        """For these, which are a matrix."""
        if self.missing and not np.isfinite(np.frombuffer(rows.raw or b"")).all():
            return self.missing
        return self.usual


def matrix(schema: InputSchema, dtype: str) -> dict[str, Any]:
    """`checked` says that every number is finite: scikit-learn need not look again."""
    shape, names = (-1, schema.width), _names(schema)
    return {"layout": "matrix", "dtype": dtype, "shape": shape, "names": names, "checked": dtype == "<f8"}


def announced(header: dict[str, Any], schema: InputSchema, dtype: str) -> Announced:
    """How matrices of a model are announced, each by bytes that are always the same."""
    rows, is_float = matrix(schema, dtype), dtype == "<f8"
    usual = msgspec.json.encode({**header, "rows": rows})
    if not is_float or not any(column.nullable for column in schema.columns):
        return Announced(usual)
    return Announced(usual, msgspec.json.encode({**header, "rows": {**rows, "checked": False}}))


def _names(schema: InputSchema) -> list[str]:
    return [c.name for c in schema.columns if c.name]


def predictions_in(answer: dict[str, Any], data: bytes) -> Any:
    """What a method answered: an array or a list, one entry per row."""
    if "arrays" not in answer:
        return json.loads(data)
    arrays = list(arrays_in(answer, data))
    if not answer["several"]:
        return arrays[0].tolist() if arrays[0].dtype.kind == "U" else arrays[0]
    # predict_proba of several outputs is a list per output; an answer has one entry per row
    return [list(row) for row in zip(*(a.tolist() for a in arrays), strict=True)]
