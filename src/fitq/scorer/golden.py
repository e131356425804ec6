"""What a model answered when it was registered, and whether it still does.

Labels, whole numbers and texts must be equal to the last bit. Floating-point answers may differ by a
relative 1e-9 (float32: 1e-5), of the number itself or of the median answer, whichever is more: the same
packages take other ways through a matrix product on a processor of another kind, and differ in the last bits.
What another version of a library computes otherwise differs by far more.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fitq.errors import ModelUnhealthy
from fitq.records import Record, Versions, to_builtins
from fitq.scorer.arrays import arrays_in

#: Relative difference that floating-point answers may have, by the size of a number in bytes.
TOLERANCE = {2: 1e-2, 4: 1e-5, 8: 1e-9}


class Answer(Record, frozen=True, kw_only=True):
    """What one method answered, as it travelled."""

    #: `arrays` and `several`, or `json`: see `child.answer_frame`; or `status` and `content_type` of a body
    described: dict[str, Any]
    data: bytes


class Golden(Record, frozen=True, kw_only=True):
    """Rows, and what the model answered to all of them together, per method."""

    rows: dict[str, Any]  #: how `payload` is to be read: see `child.model_input`
    payload: bytes
    count: int  #: how many rows
    source: str  #: where the rows are from: "given", "drawn", "given and drawn", "example"
    answers: dict[str, Answer] = {}  # noqa: RUF012  # msgspec copies it
    random: list[str] = []  # noqa: RUF012  #: methods that answered differently when asked twice; not compared
    too_large: list[str] = []  # noqa: RUF012  #: methods whose answer is too large to be kept
    versions: Versions = Versions()  #: in which it answered


class Difference(Record, frozen=True, kw_only=True):
    """The first answer that is another than the recorded one."""

    method: str
    row: int  #: counts from 0
    input: Any  #: the row
    registered: Any
    serving: Any

    def __str__(self) -> str:
        return (
            f"{self.method} of row {self.row} answered {_short(self.registered)} when it was registered "
            f"and {_short(self.serving)} now"
        )


class Replay(NamedTuple):
    """The outcome of asking a loaded model for its recorded answers again."""

    golden: Golden
    serving: Versions  #: in which it was loaded
    exact: bool  #: every number is equal to the last bit
    difference: Difference | None  #: beyond what may differ

    def to_body(self) -> dict[str, Any]:
        """For whoever asks about the model."""
        return {
            "state": "different" if self.difference else "same",
            "exact": self.exact,
            "rows": self.golden.count,
            "source": self.golden.source,
            "methods": list(self.golden.answers),
            "random": self.golden.random,
            "too_large": self.golden.too_large,
            "difference": to_builtins(self.difference),
            "registered": to_builtins(self.golden.versions),
            "serving": to_builtins(self.serving),
        }


def answer_of(header: dict[str, Any], data: bytes) -> Answer:
    """The child's answer without what differs each time."""
    lasting = ("arrays", "several", "json", "status", "content_type")
    described = {k: v for k, v in header.items() if k in lasting}
    return Answer(described=described, data=bytes(data))


def compared(golden: Golden, answers: dict[str, Answer], serving: Versions) -> Replay:
    """Set recorded and new answers against each other."""
    exact = True
    for method, recorded in golden.answers.items():
        got = answers[method]
        if (got.described, got.data) == (recorded.described, recorded.data):
            continue
        row = _first_difference(_columns(recorded), _columns(got))
        if row is not None:
            return Replay(golden, serving, False, _told(golden, method, row, recorded, got))
        exact = False
    return Replay(golden, serving, exact, None)


def failed(golden: Golden, method: str, reason: str, serving: Versions) -> Replay:
    """A model that answered then and raises now."""
    recorded = golden.answers[method]
    found = Difference(
        method=method, row=0, input=_row(golden, 0), registered=_shown(recorded, 0), serving=reason
    )
    return Replay(golden, serving, False, found)


def _told(golden: Golden, method: str, row: int, recorded: Answer, got: Answer) -> Difference:
    return Difference(
        method=method,
        row=row,
        input=_row(golden, row),
        registered=_shown(recorded, row),
        serving=_shown(got, row),
    )


def _first_difference(old: list[Any], new: list[Any]) -> int | None:
    """The first row in which two answers differ by more than they may; None if there is none."""
    if len(old) != len(new):
        return 0
    found = [row for a, b in zip(old, new, strict=True) if (row := _row_that_differs(a, b)) is not None]
    return min(found, default=None)


def _row_that_differs(old: Any, new: Any) -> int | None:
    if not isinstance(old, np.ndarray) or not isinstance(new, np.ndarray):
        return _item_that_differs(old, new)
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind or old.ndim == 0:
        return 0
    same = _same_floats(old, new) if old.dtype.kind == "f" else old == new
    rows = np.flatnonzero(~same.reshape(len(old), -1).all(axis=1))
    return int(rows[0]) if len(rows) else None


def _same_floats(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    allowed = max(TOLERANCE.get(a.dtype.itemsize, 1e-9) for a in (old, new))
    finite = np.abs(old[np.isfinite(old)])
    scale = float(np.median(finite)) if finite.size else 0.0
    near = np.isclose(
        new.astype(float), old.astype(float), rtol=allowed, atol=allowed * scale, equal_nan=True
    )
    return np.asarray(near)


def _item_that_differs(old: Any, new: Any) -> int | None:
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
        return None if _near(old, new) else 0
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=True)) if not _near(a, b)), None)


def _near(old: Any, new: Any) -> bool:
    """Whether two values of JSON are the same but for the last digits of their fractions."""
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=TOLERANCE[8], abs_tol=TOLERANCE[8])
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_near, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_near(old[k], new[k]) for k in old)
    return bool(old == new)


def _columns(answer: Answer) -> list[Any]:
    """The arrays of an answer, or its decoded JSON as the only one."""
    if "status" in answer.described:
        body = _decoded(answer.data)
        is_list = answer.described["status"] == 200 and isinstance(body, list)
        return [body] if is_list else [[{"status": answer.described["status"], "body": body}]]
    if "arrays" not in answer.described:
        return [json.loads(answer.data)]
    return list(arrays_in(answer.described, answer.data))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _shown(answer: Answer, row: int) -> Any:
    """The answer to one row, as plain values."""
    values = []
    for column in _columns(answer):
        try:
            found = column[row]
        except (IndexError, TypeError, KeyError):
            found = column
        values.append(found.tolist() if isinstance(found, np.generic | np.ndarray) else found)
    return values[0] if len(values) == 1 else values


def _row(golden: Golden, row: int) -> Any:
    """One of the recorded rows, as plain values."""
    if golden.rows["layout"] == "matrix":
        matrix = np.frombuffer(golden.payload, golden.rows["dtype"]).reshape(golden.rows["shape"])
        return matrix[row].tolist()
    if golden.rows["layout"] == "body":
        return _decoded(golden.payload)
    columns = json.loads(golden.payload)
    return columns[0][row] if golden.rows["layout"] == "texts" else [c[row] for c in columns]


def unhealthy(key: str, replay: Replay) -> ModelUnhealthy:
    """Why a model does not answer, for whoever asks it."""
    then, now = replay.golden.versions, replay.serving
    return ModelUnhealthy(
        f"Model {key} answers otherwise here than when it was registered, so it does not answer: "
        f"{replay.difference}. Registered with {then.told}; serving with {now.told}.",
        hint="Serve it with the versions it was registered with, or register it again. "
        f"To serve it all the same: fitq models approve {key}",
        registered=to_builtins(then),
        serving=to_builtins(now),
        difference=to_builtins(replay.difference),
    )


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 120 else f"{text[:117]}…"
