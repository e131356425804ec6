"""`text/csv`: a line per row, with or without a line of column names. Text is typed by the model's schema.

`text/csv; header=present` and `header=absent` (RFC 4180) say which it is. Without that the first line is
names where it is those of the model; for a model without names, where it can be nothing else.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from typing import Any

from fitq.errors import InvalidRequest
from fitq.records import Column
from fitq.schema import ArraySchema
from fitq.scoring.dialects.form import Input, Table

_MEDIA_TYPE = "text/csv"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_HEADER = re.compile(r";\s*header\s*=\s*\"?([^;\"]*)", re.IGNORECASE)
#: What people call a column begins like this, and is no word for a value that is missing or odd.
_NAME = re.compile(r"[^\W\d].*", re.DOTALL)
_NO_NAMES = {"nan", "inf", "infinity", "na", "n/a", "nat", "null", "none", "nil", "missing", "true", "false"}


def _read(body: bytes, schema: ArraySchema, content_type: str) -> Input:
    """Rows of a CSV body.

    Raises:
        InvalidRequest: not UTF-8, not CSV, or a first line that may be names or a wrong row.
    """
    is_headed = _is_headed(content_type)
    # Bodies are bounded already, and a text may be as long here as in JSON.
    csv.field_size_limit(sys.maxsize)
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InvalidRequest(
            f"The body is not CSV: {exc}.", expected="CSV in UTF-8", got=str(exc), at="$"
        ) from exc
    names = lines[0] if lines and _has_names(lines[0], schema, is_headed=is_headed) else None
    if names is not None:
        lines = lines[1:]
    columns = schema.schema.columns
    kinds = [columns[schema.names.index(n)] for n in names] if names and _knows(schema, names) else columns
    rows: list[Any] = [_typed(line, kinds) for line in lines]
    if schema.schema.layout == "texts":
        return Input([line[0] if len(line) == 1 else line for line in lines], "$")
    return Input(rows, "$", names if schema.names else None)


def _write(predictions: Any) -> bytes:
    """A line per row; missing and infinite values are empty, as they are null in JSON."""
    listed = predictions.tolist() if hasattr(predictions, "tolist") else predictions
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in listed:
        writer.writerow(_flat(row))
    return out.getvalue().encode("utf-8", "replace")


def _is_headed(content_type: str) -> bool | None:
    """What the content type says of a line of names; None if nothing."""
    said = _HEADER.search(content_type)
    if said is None:
        return None
    known = {"present": True, "absent": False}
    value = said[1].strip().lower()
    if value not in known:
        raise InvalidRequest(
            "The content type says something else of a header than whether there is one.",
            expected=f"{_MEDIA_TYPE}; header=present or {_MEDIA_TYPE}; header=absent",
            got=content_type[:100],
            at="header content-type",
        )
    return known[value]


def _has_names(first: list[str], schema: ArraySchema, *, is_headed: bool | None) -> bool:
    """Whether the first line holds names.

    Raises:
        InvalidRequest: it has texts above columns of numbers, which need not be names.
    """
    if is_headed is not None or schema.schema.layout == "texts":
        return bool(is_headed)
    above_numbers = [
        _number(text) is None
        for text, c in zip(first, schema.schema.columns, strict=False)
        if c.kind in ("number", "integer") and text
    ]
    is_text = bool(above_numbers) and all(above_numbers)
    if schema.names or not is_text:  # a model with names tells by itself which of them are wrong
        return is_text or (bool(schema.names) and set(first) == set(schema.names))
    if not _can_only_be_names(first, schema.schema.width):
        raise InvalidRequest(
            "The first line is neither a row that the model takes nor surely a line of column names.",
            hint=f"Say which in the content type: {_MEDIA_TYPE}; header=present, or header=absent.",
            expected=schema.expected,
            got=",".join(first)[:100],
            at="row 0",
        )
    return True


def _can_only_be_names(first: list[str], width: int) -> bool:
    """One text alone may as well be a value that is wrong."""
    cells = [cell.strip() for cell in first]
    is_whole = len(cells) == width > 1 and len(set(cells)) == width
    return is_whole and all(_NAME.fullmatch(c) and c.lower() not in _NO_NAMES for c in cells)


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
        is_none = row is None or (isinstance(row, float) and not math.isfinite(row))
        return ["" if is_none else row]
    return [cell for part in row for cell in _flat(part)]


TABLE = Table(_MEDIA_TYPE, _read, _write)
