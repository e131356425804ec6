"""What a wire format is: how its body is read, and how its answer is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fitq.errors import InvalidRequest
from fitq.records import ModelRecord
from fitq.schema import shown


class Input(NamedTuple):
    """Rows as a body holds them, not yet checked."""

    value: object
    path: str  #: where they stood, for messages
    columns: list[Any] | None = None  #: names of the columns, when they stand beside the rows
    method: object = None  #: the predict-like method it asks for


class Reply(NamedTuple):
    """What an answer may tell besides the predictions."""

    model: ModelRecord
    method: str
    request: Any  #: the body that is answered


def _any(_: object) -> bool:
    return True


class Dialect(NamedTuple):
    """One wire format."""

    key: str  #: the field that tells it; empty: the body is the rows themselves
    read: Callable[[dict[str, Any]], Input]
    write: Callable[[Any, Reply], Any]  #: predictions, one entry per row → what becomes the JSON answer
    fields: tuple[str, ...] = ()  #: other fields it may have
    claims: Callable[[object], bool] = _any  #: whether that field's value is its own, where formats share one


def one_method(*asked: tuple[str, object]) -> object:
    """The method that is asked for, where a body has several places for it; None if in none.

    Args:
        asked: (place, what stands there), None where nothing does.

    Raises:
        InvalidRequest: two places ask for different methods.
    """
    given = [(at, method) for at, method in asked if method is not None]
    for at, method in given[1:]:
        if method != given[0][1]:
            first = f"{shown(given[0][1])}, as in {given[0][0]}"
            message = f"{at} asks for another method than {given[0][0]}."
            raise InvalidRequest(message, expected=first, got=shown(method), at=at)
    return given[0][1] if given else None


def bare(predictions: Any, _: Reply) -> Any:
    """The predictions and nothing else."""
    return predictions


def wrapped(predictions: Any, _: Reply) -> Any:
    """`{"predictions": …}`."""
    return {"predictions": predictions}


def split_frame(value: object, path: str, method: object = None) -> Input:
    """Rows of `{"columns": […], "index": […], "data": [[…]]}`; the index is not looked at.

    Raises:
        InvalidRequest: `data` is missing, or `columns` is not a list.
    """
    if not isinstance(value, dict):
        return Input(value, path, None, method)
    columns = value.get("columns")
    unknown = sorted(value.keys() - {"columns", "index", "data"})
    if "data" not in value or not isinstance(columns, list | None) or unknown:
        expected = "an object with 'columns' (a list), 'data' (rows) and, if you like, 'index'"
        got = f"an object with {', '.join(map(repr, value))}"[:200]
        raise InvalidRequest(f"{path} must be {expected}.", expected=expected, got=got, at=path)
    return Input(value["data"], f"{path}.data", columns, method)
