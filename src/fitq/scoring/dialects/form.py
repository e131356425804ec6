"""What a wire format is: how its body is read, and how its answer is written.

There are two kinds. A `Dialect` is JSON, told by one of its fields; a `Table` is another media type, told by
that. Each is a value in a file of its own; `addresses` lists them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fitq.errors import InvalidRequest
from fitq.records import ModelRecord
from fitq.schema import ArraySchema, Rows
from fitq.scoring.answers import Headers, to_json
from fitq.wording import shown

JSON = "application/json"


class Input(NamedTuple):
    """Rows as a body holds them, not yet checked."""

    value: object
    path: str  #: where they stood, for messages
    columns: list[Any] | None = None  #: names of the columns, when they stand beside the rows
    method: object = None  #: the predict-like method it asks for


class Asked(NamedTuple):
    """A request whose rows have passed every check."""

    rows: Rows
    method: object = None  #: the predict-like method it asks for
    body: Any = None  #: decoded, or what the answer repeats of it


class Reply(NamedTuple):
    """What an answer may tell besides the predictions."""

    model: ModelRecord
    method: str
    request: Any  #: the body that is answered


class Written(NamedTuple):
    """Predictions as they go back."""

    body: bytes
    media_type: str = JSON
    headers: Headers = []  # noqa: RUF012  # never changed


class Framing(NamedTuple):
    """A form of a dialect's body in which JSON is not all of it."""

    header: str  #: the request header that tells it
    decode: Callable[[bytes, str], Any]  #: the body, and that header → what JSON would have been decoded to


#: A body → what it says, or None if it is not the usual one, or wrong.
QuickReader = Callable[[bytes], Asked | None]


def _any(_: object) -> bool:
    return True


class Dialect(NamedTuple):
    """A wire format of JSON."""

    key: str  #: the field that tells it; empty: the body is the rows themselves
    read: Callable[[dict[str, Any]], Input]
    write: Callable[[Any, Reply], Written]  #: predictions, one entry per row
    fields: tuple[str, ...] = ()  #: other fields it may have
    claims: Callable[[object], bool] = _any  #: whether that field's value is its own, where formats share one
    #: makes the quick reader for a model's rows, where its usual body has one
    quick: Callable[[ArraySchema], QuickReader] | None = None
    framing: Framing | None = None
    as_table: bool = True  #: whether it is answered in another media type where `Accept` asks for that


class Table(NamedTuple):
    """A wire format that is no JSON."""

    media_type: str
    read: Callable[[bytes, ArraySchema, str], Input]  #: the last is the content type as it came
    write: Callable[[Any], bytes]


@dataclass(frozen=True)
class Accepted:
    """What an address takes, and how it may be answered."""

    dialects: tuple[Dialect, ...]  #: the first is the address's own: refusals speak of it
    tables: tuple[Table, ...] = ()  #: what `Accept` may ask for
    answers: Dialect | None = (
        None  #: tables are taken as bodies too, and answered so if `Accept` asks nothing
    )

    @functools.cached_property
    def framings(self) -> list[Framing]:
        """Forms of these dialects in which JSON is not all of the body."""
        return [d.framing for d in self.dialects if d.framing is not None]

    @functools.cached_property
    def taken(self) -> dict[str, Table]:
        """Media type → table, of those that are taken as bodies."""
        return {t.media_type: t for t in self.tables} if self.answers is not None else {}


def bare(predictions: Any, _: Reply) -> Written:
    """The predictions and nothing else."""
    return Written(to_json(predictions))


def wrapped(predictions: Any, _: Reply) -> Written:
    """`{"predictions": …}`."""
    return Written(to_json({"predictions": predictions}))


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
