"""What a model's answers look like, as JSON Schema: one entry per row, in the form of each of its methods.

Types come from the arrays that the methods were seen to answer, not from the numbers in them: a float may be
NaN or infinite for other rows, which is null in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fitq.records import ModelRecord
from fitq.scoring.schema_words import Schema, Words

_OF_NUMPY = {"i": "integer", "u": "integer", "b": "boolean", "U": "string"}
_OF_PYTHON = {bool: "boolean", int: "integer", str: "string"}


def answer_schema(record: ModelRecord, answers: dict[str, Any], words: Words) -> Schema:
    """What is answered, whichever of its methods is asked.

    Args:
        answers: method → what it answered to the example rows; one entry per row.
    """
    alike: list[tuple[Schema, list[str]]] = []
    for method, predictions in answers.items():
        entry = _entry(record, method, predictions, words)
        names = next((names for known, names in alike if known == entry), None)
        if names is None:
            alike.append((entry, [method]))
        else:
            names.append(method)
    if not alike or not words.knows_alternatives:
        return _rows(words.any_of([entry for entry, _ in alike]) if alike else {})
    return words.any_of([{"title": ", ".join(names), **_rows(entry)} for entry, names in alike])


def _rows(entry: Schema) -> Schema:
    return {"type": "array", "items": entry, "minItems": 1}


def _entry(record: ModelRecord, method: str, predictions: Any, words: Words) -> Schema:
    """The answer to one row."""
    if isinstance(predictions, np.ndarray):
        cell = _numpy_cell(predictions.dtype.kind, words)
        for size in reversed(predictions.shape[1:]):
            cell = {"type": "array", "items": cell, "minItems": size, "maxItems": size}
        return cell
    labels = record.classes if method == "predict" else []
    cell = _cell({type(v) for v in _values([predictions, labels])}, method, words)
    return _nested(predictions[0], cell, words) if predictions else {}


def _numpy_cell(kind: str, words: Words) -> Schema:
    return {"type": _OF_NUMPY[kind]} if kind in _OF_NUMPY else words.nullable({"type": "number"})


def _cell(types: set[type], method: str, words: Words) -> Schema:
    """A value of an answer that came as lists: labels, or the arrays of several outputs."""
    if types == {float}:
        return words.nullable({"type": "number"})
    if method == "predict" and types <= _OF_PYTHON.keys():
        return words.any_of([{"type": _OF_PYTHON[t]} for t in sorted(types, key=str)])
    return words.scalar()  # columns of objects are handed through, whatever they hold


def _nested(entry: Any, cell: Schema, words: Words) -> Schema:
    if isinstance(entry, list):
        return words.row([_nested(inner, cell, words) for inner in entry])
    return cell


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    else:
        yield value
