"""The strict door in front of a model: which rows fit its input schema, and as which arrays they travel.

numpy and inference-schema convert silently (`"5.1"` → 5.1, `None` → nan, `True` → 1.0, 1.5 → 1). Here a
number is a number. What is accepted equals what inference-schema's `NumpyParameterType` makes of it, and
what that refuses is refused (a property test holds both). The Swagger of the input is inference-schema's.

Rows and columns count from 0, as in the JSON path that stands beside them.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from numpy.typing import NDArray

from fitq.errors import InputRejected
from fitq.names import did_you_mean
from fitq.records import InputSchema
from fitq.wording import KINDS, column_words, one_of, shown

_TYPES: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "string": str}
_DTYPES = {"number": "f8", "integer": "i8", "boolean": "?", "string": "U16"}
_MATRIX: dict[str, Any] = {"number": np.float64, "integer": np.int64}
#: From here on a float64 no longer tells neighbouring integers apart.
_EXACT_BELOW = 2.0**53
#: Up to here rows are packed one by one; numpy takes longer to begin.
_FEW_ROWS = 16


class Rows(NamedTuple):
    """Rows that fit a model, in the form in which they travel to the scorer."""

    size: int  #: how many rows
    raw: bytes | None  #: a matrix of shape (size, width) in C order; None when columns differ in kind
    columns: list[Any]  #: without a matrix: one sequence per column, or the texts as the only one
    exact: bool = True  #: False: a number is so large that an integer may have been rounded on the way
    dtype: str = "<f8"  #: of the matrix: float64 or int64, little-endian

    @property
    def matrix(self) -> NDArray[Any] | None:
        """The matrix as an array that cannot be written to."""
        return None if self.raw is None else np.frombuffer(self.raw, self.dtype).reshape(self.size, -1)

    def part(self, start: int, end: int) -> Rows:
        """Some of them, from `start` to before `end`."""
        if self.raw is None:
            return self._replace(size=end - start, columns=[c[start:end] for c in self.columns])
        width = len(self.raw) // self.size
        return self._replace(size=end - start, raw=self.raw[start * width : end * width])


class ArraySchema:
    """Checks rows against one model's input schema. Keeps no rows."""

    def __init__(self, schema: InputSchema) -> None:
        self.schema = schema
        self.names = [c.name for c in schema.columns] if all(c.name for c in schema.columns) else []
        kinds = {c.kind for c in schema.columns}
        self._dtype = _MATRIX.get(kinds.pop()) if len(kinds) == 1 and schema.layout == "rows" else None
        nullable = [c.nullable for c in schema.columns]
        if self._dtype is np.int64 and any(nullable):
            self._dtype = None  # an int64 has no way to say "missing"
        self._required = np.array([not n for n in nullable], dtype=bool)
        #: columns whose values the model knows all, with those
        self._closed = [
            (i, frozenset(c.categories)) for i, c in enumerate(schema.columns) if c.refuses_others
        ]
        only_floats = self._dtype is np.float64 and not any(nullable) and not self._closed
        self._pack = _packer(schema) if only_floats else None
        #: what msgspec decodes or converts rows to, with width and kinds checked in C
        self.rows_type: Any = list[str] if schema.layout == "texts" else list[_row_type(schema)]  # type: ignore[misc]  # made at run time

    @property
    def is_of_floats(self) -> bool:
        """Whether a row is numbers alone, and all of them have to be there."""
        return self._pack is not None

    def check(self, value: object, *, columns: list[Any] | None = None, path: str = "$.data") -> Rows:
        """Rows from decoded JSON.

        Args:
            value: a list of rows (lists, or objects by column name), or of texts.
            columns: the names of the columns in `value`, when they travel beside it.
            path: where `value` stood in the body, for messages.

        Raises:
            InputRejected: `expected`, `got` and `at` ("row 2, column 3 (petal_width)") say what is wrong.
        """
        rows = self._in_order(value, columns, path)
        try:
            typed = msgspec.convert(rows, type=self.rows_type)
        except (msgspec.ValidationError, OverflowError, RecursionError) as exc:
            raise self._explained(rows, str(exc), path) from exc
        packed = self.pack(typed, path)
        if not packed.exact:
            self._refuse_rounding(rows, path)
        return packed

    def pack(self, rows: list[Any], path: str = "$.data") -> Rows:
        """Rows that already are of `rows_type`, as arrays. Look at `exact` before use.

        Raises:
            InputRejected: there are none, or one is not finite.
        """
        if not rows:
            raise self.rejected(path, "row 0", self.expected, "an empty list", "There are no rows.")
        if self.schema.layout == "texts":
            return Rows(len(rows), None, [rows])
        if self._pack is not None and len(rows) <= _FEW_ROWS and all(map(_is_exact, rows)):
            return Rows(len(rows), b"".join([self._pack(*row) for row in rows]), [])
        if self._dtype is None:
            columns = [list(c) for c in zip(*rows, strict=True)]
            exact = self._columns_are_exact(columns, path)
            for i, known in self._closed:
                self._refuse_unknown(i, columns[i], known, path)
            return Rows(len(rows), None, columns, exact)
        try:
            matrix = np.array(rows, dtype=self._dtype)
        except OverflowError as exc:
            raise self._too_large(rows, path) from exc
        return self.check_matrix(matrix, path)

    def check_matrix(self, matrix: NDArray[Any], path: str = "$.data") -> Rows:
        """Rows that came as one array of the schema's own kind, shape (n, width), n ≥ 1."""
        for i, known in self._closed:
            self._refuse_unknown(i, matrix[:, i].tolist(), known, path)
        if self._dtype is np.int64:
            return Rows(len(matrix), matrix.astype("<i8", copy=False).tobytes(), [], dtype="<i8")
        exact = True
        if not (matrix.min() > -_EXACT_BELOW and matrix.max() < _EXACT_BELOW):  # also if one is nan
            finite = np.isfinite(matrix)
            # null has become nan where the model takes it; infinity is never a value
            wrong = ~finite & (self._required | np.isinf(matrix))
            if wrong.any():
                row, column = (int(i) for i in np.argwhere(wrong)[0])
                raise self._cell(row, column, float(matrix[row, column]), path)
            exact = bool((np.abs(matrix[finite]) < _EXACT_BELOW).all())
        return Rows(len(matrix), matrix.astype("<f8", copy=False).tobytes(), [], exact)

    def pack_array(self, array: NDArray[Any], columns: list[Any] | None, path: str) -> Rows | None:
        """Rows that came as one array of numbers; None if they have to be looked at one by one.

        Raises:
            InputRejected: a number is not finite.
        """
        fits = array.ndim == 2 and array.shape[1] == self.schema.width and len(array) > 0
        is_plain = array.dtype.kind in "fiu" and array.dtype.itemsize <= 8
        in_order = columns is None or not self.names or columns == self.names
        if self._dtype is not np.float64 or not (fits and is_plain and in_order):
            return None
        rows = self.check_matrix(np.ascontiguousarray(array, dtype=np.float64), path)
        return rows if rows.exact else None

    @functools.cached_property
    def expected(self) -> str:
        """The input in one line for people."""
        if self.schema.layout == "texts":
            return "a list of strings"
        width = self.schema.width
        shown = ", ".join(column_words(i, c) for i, c in enumerate(self.schema.columns[:20]))
        return f"a list of rows, each of {width} values: {shown}{', …' if width > 20 else ''}"

    def rejected(self, path: str, at: str, expected: str, got: str, message: str) -> InputRejected:
        """The error for something in the rows, with what helps to mend it."""
        return InputRejected(
            message, hint=f"The model takes {self.expected}.", at=at, path=path, expected=expected, got=got
        )

    def _in_order(self, value: object, columns: list[Any] | None, path: str) -> object:
        if not isinstance(value, list):
            return value
        if columns is not None:
            value = self._permuted(value, columns, path)
        if value and isinstance(value[0], dict) and self.names:
            value = [self._by_name(i, record, path) for i, record in enumerate(value)]
        is_texts = self.schema.layout == "texts"
        if is_texts and columns is not None and all(isinstance(r, list) and len(r) == 1 for r in value):
            value = [row[0] for row in value]
        return value

    def _by_name(self, index: int, record: object, path: str) -> list[Any]:
        if not isinstance(record, dict):
            got = shown(record)
            message = f"Row {index} must be an object, as row 0 is."
            raise self.rejected(f"{path}[{index}]", f"row {index}", "an object by column name", got, message)
        if record.keys() != set(self.names):
            raise self._wrong_names(f"row {index}", list(record), f"{path}[{index}]")
        return [record[name] for name in self.names]

    def _permuted(self, value: list[Any], columns: list[Any], path: str) -> list[Any]:
        """Rows whose columns are named beside them, in the model's own order."""
        if not self.names or columns == self.names or self.schema.layout == "texts":
            return value
        given = [str(c) for c in columns]
        if sorted(given) != sorted(self.names):
            raise self._wrong_names("columns", given, path)
        order = [given.index(name) for name in self.names]
        fits = [isinstance(row, list) and len(row) == len(given) for row in value]
        return [[row[i] for i in order] if ok else row for row, ok in zip(value, fits, strict=True)]

    def _wrong_names(self, at: str, given: list[str], path: str) -> InputRejected:
        missing = [n for n in self.names if n not in given]
        extra = [n for n in given if n not in self.names]
        faults = [f"column {n!r} is missing" for n in missing[:5]]
        faults += [f"column {n!r} is unknown. {did_you_mean(n, self.names)}".strip() for n in extra[:5]]
        faults = faults or ["a column is named twice"]
        message = f"{at.capitalize()}: {'; '.join(faults)}."
        return self.rejected(
            path, at, f"the columns {', '.join(self.names)}", ", ".join(given) or "no columns", message
        )

    def _explained(self, rows: object, complaint: str, path: str) -> InputRejected:
        """Turn msgspec's path into a row and a column, and its types into our words."""
        steps = [int(n) for n in re.findall(r"\[(\d+)\]", complaint.rpartition("`$")[2])]
        value: Any = rows
        for step in steps:
            value = value[step]
        if len(steps) == 2:
            return self._cell(steps[0], steps[1], value, path)
        if not steps and isinstance(rows, list):
            return self._too_large(rows, path)
        if not steps:
            return self.rejected(path, path, self.expected, shown(value), f"{path} must be a list of rows.")
        return self._row(steps[0], value, path)

    def _row(self, index: int, value: object, path: str) -> InputRejected:
        width, at = self.schema.width, f"row {index}"
        got = f"{len(value)} values" if isinstance(value, list) else shown(value)
        if self.schema.layout == "texts":
            expected = "a string"
        elif isinstance(value, dict):
            expected = f"a list of {width} values (this model has no column names)"
        else:
            expected = f"a list of {width} values"
        message = f"Row {index} must be {expected}, not {got}."
        if not isinstance(value, list | dict) and self.schema.layout == "rows":
            message += " One row alone is also sent as a list of rows: [[…]]."
        return self.rejected(f"{path}[{index}]", at, expected, got, message)

    def _cell(self, row: int, column: int, value: object, path: str) -> InputRejected:
        spec = self.schema.columns[column]
        at = f"row {row}, column {column}" + (f" ({spec.name})" if spec.name else "")
        expected = KINDS[spec.kind] + (" or null" if spec.nullable else "")
        got = shown(value)
        if spec.refuses_others:
            expected = one_of(spec)
        elif isinstance(value, int) and not isinstance(value, bool) and spec.kind in _MATRIX:
            expected += " that a float64 holds exactly" if spec.kind == "number" else " of 64 bits"
        near = did_you_mean(value, map(str, spec.categories)) if isinstance(value, str) else ""
        message = f"At {at}: expected {expected}, got {got}. {near}".strip()
        return self.rejected(f"{path}[{row}][{column}]", at, expected, got, message)

    def _columns_are_exact(self, columns: list[list[Any]], path: str) -> bool:
        exact = True
        for i, (spec, values) in enumerate(zip(self.schema.columns, columns, strict=True)):
            for row, value in enumerate(values):
                if spec.kind == "integer" and value is not None and not -(2**63) <= value < 2**63:
                    raise self._cell(row, i, value, path)
                if spec.kind == "number" and value is not None and not abs(value) < _EXACT_BELOW:
                    if value != value or abs(value) == float("inf"):
                        raise self._cell(row, i, value, path)
                    exact = False
        return exact

    def _refuse_unknown(self, column: int, values: list[Any], known: frozenset[Any], path: str) -> None:
        """Name the first value that the model does not know. Missing ones were looked at before."""
        unknown = {v for v in set(values) - known if v is not None and v == v}
        if unknown:
            row = next(i for i, v in enumerate(values) if v in unknown)
            raise self._cell(row, column, values[row], path)

    def _refuse_rounding(self, rows: object, path: str) -> None:
        """Name the first integer that would become another number as a float64."""
        for i, row in enumerate(rows if isinstance(rows, list) else []):
            for j, value in enumerate(row):
                if self.schema.columns[j].kind == "number" and _is_rounded(value):
                    raise self._cell(i, j, value, path)

    def _too_large(self, rows: list[Any], path: str) -> InputRejected:
        """Which number is outside of its type. msgspec and numpy say only that there is one."""
        for i, row in enumerate(rows):
            for j, value in enumerate(row if isinstance(row, list | tuple) else []):
                kind = self.schema.columns[j].kind if j < self.schema.width else ""
                if _is_rounded(value) or (kind == "integer" and _is_beyond_int64(value)):
                    return self._cell(i, j, value, path)
        message = "The rows are nested too deeply or hold a number that is out of range."
        return self.rejected(path, path, self.expected, "rows that cannot be converted", message)

    @functools.cached_property
    def parameter_type(self) -> NumpyParameterType:
        """inference-schema's view of this input, made from the example rows."""
        return NumpyParameterType(self._sample())

    @functools.cached_property
    def cells(self) -> list[dict[str, Any]]:
        """What inference-schema's Swagger says of one value, per column."""
        fields = np.dtype([(f"f{i}", _DTYPES[c.kind]) for i, c in enumerate(self.schema.columns)])
        told = NumpyParameterType(np.zeros(1, dtype=fields)).input_to_swagger()
        return list(told["items"]["properties"].values())

    def to_swagger(self) -> dict[str, Any]:
        """The schema of the rows as inference-schema writes it, with the example that was answered."""
        if self._dtype is None and self.schema.layout == "rows" and not self.names:
            # numpy has no words for "a row is a list of values of several kinds"; `cells` has
            found: dict[str, Any] = {"type": "array", "items": {"type": "array", "items": {}}}
        else:
            found = self.parameter_type.input_to_swagger()
        # its own rendering of an example turns true into "True" and nan into NaN
        return {**found, "example": self.example}

    @functools.cached_property
    def example(self) -> list[Any]:
        """Rows that the model was seen to answer, as objects where the Swagger describes objects."""
        if self._dtype is None and self.schema.layout == "rows" and self.names:
            return [dict(zip(self.names, row, strict=True)) for row in self.schema.example]
        return self.schema.example

    def _sample(self) -> NDArray[Any]:
        if self.schema.layout == "texts":
            return np.array(self.schema.example or ["text"])
        if self._dtype is not None:
            return np.array(self.schema.example or [[0] * self.schema.width], dtype=self._dtype)
        dtype = np.dtype([(c.name, _DTYPES[c.kind]) for c in self.schema.columns])
        return np.zeros(1, dtype=dtype)


def _row_type(schema: InputSchema) -> Any:
    cells = [_TYPES[c.kind] | None if c.nullable else _TYPES[c.kind] for c in schema.columns]
    return tuple[tuple(cells)]  # type: ignore[misc]  # made at run time


def _packer(schema: InputSchema) -> Callable[..., bytes]:
    """Writes one row of numbers as it stands in a matrix."""
    return struct.Struct(f"<{schema.width}d").pack


def _is_exact(row: tuple[float, ...]) -> bool:
    """Whether all numbers are finite and so small that integers among them were not rounded."""
    total = sum(row)  # nan if one is
    return total == total and min(row) > -_EXACT_BELOW and max(row) < _EXACT_BELOW


def _is_rounded(value: object) -> bool:
    if not isinstance(value, int):
        return False
    try:
        return int(float(value)) != value
    except OverflowError:
        return True


def _is_beyond_int64(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63
