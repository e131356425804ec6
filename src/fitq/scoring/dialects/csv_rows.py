"""`text/csv`: a line per row, with or without a line of column names. Text is typed by the model's schema."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any

from fitq.errors import InvalidRequest
from fitq.records import Column
from fitq.schema import ArraySchema
from fitq.scoring.dialects.form import Input

MEDIA_TYPE = "text/csv"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read(body: bytes, schema: ArraySchema) -> Input:
    """Rows of a CSV body.

    Raises:
        InvalidRequest: not UTF-8, or not CSV.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InvalidRequest(
            f"The body is not CSV: {exc}.", expected="CSV in UTF-8", got=str(exc), at="$"
        ) from exc
    names = _names(lines, schema)
    if names is not None:
        lines = lines[1:]
    columns = schema.schema.columns
    kinds = [columns[schema.names.index(n)] for n in names] if names and _knows(schema, names) else columns
    rows: list[Any] = [_typed(line, kinds) for line in lines]
    if schema.schema.layout == "texts":
        return Input([line[0] if len(line) == 1 else line for line in lines], "$")
    return Input(rows, "$", names if schema.names else None)


def write(predictions: Any) -> bytes:
    """A line per row; missing values are empty."""
    listed = predictions.tolist() if hasattr(predictions, "tolist") else predictions
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in listed:
        writer.writerow(_flat(row))
    return out.getvalue().encode()


def _names(lines: list[list[str]], schema: ArraySchema) -> list[str] | None:
    """The first line, if it holds names: those of the model, or texts above a column of numbers."""
    if not lines or schema.schema.layout == "texts":
        return None
    first = lines[0]
    above_numbers = [
        _number(text) is None
        for text, c in zip(first, schema.schema.columns, strict=False)
        if c.kind in ("number", "integer") and text
    ]
    is_header = set(first) == set(schema.names) or (bool(above_numbers) and all(above_numbers))
    return first if is_header else None


def _knows(schema: ArraySchema, names: list[str]) -> bool:
    return set(names) == set(schema.names) and len(names) == len(schema.names)


def _typed(line: list[str], columns: list[Column]) -> list[Any]:
    """Text as the column's kind where it reads as that, else as it is, for the schema to refuse."""
    typed = [_value(text, column.kind) for text, column in zip(line, columns, strict=False)]
    return [*typed, *line[len(typed) :]]


def _value(text: str, kind: str) -> Any:
    if kind == "string":
        return text
    if text == "":
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    """A number as people write them in CSV; not `nan`, not `1_000`."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    if text.strip().lstrip("+-").isdecimal() and len(text) < 400:
        return int(text)
    return float(text) if math.isfinite(float(text)) else None


def _flat(row: Any) -> list[Any]:
    if not isinstance(row, list):
        return ["" if row is None or row != row else row]
    return [cell for part in row for cell in _flat(part)]
