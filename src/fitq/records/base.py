"""What all records have in common: frozen values, JSON in and out, and the moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from fitq.errors import InvalidRequest, Unavailable

JsonScalar = str | int | float | bool | None


Json = JsonScalar | list[Any] | dict[str, Any]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of everything that is kept. Unknown fields are ignored: newer programs may add some."""


class Unreadable(Unavailable):
    """A record that was kept is not what was kept."""


RecordT = TypeVar("RecordT", bound=msgspec.Struct)


class Failure(Record, frozen=True, kw_only=True):
    """Why a run ended as Failed or Canceled."""

    kind: str  #: user_error, import_error, killed, …; all: docs/how-to/why-did-my-run-fail.md
    message: str  #: one sentence
    lines: list[str] = []  #: the decisive lines of the log, oldest first
    hint: str = ""  #: the likely fix
    exit_code: int | None = None  #: negative: ended by that signal
    where: str = ""  #: the last line of the user's own that led there: train.py:12
    versions: dict[str, str] = {}  #: of the packages that explain it, as they were installed


class Resources(Record, frozen=True, kw_only=True):
    """What a run asks for."""

    cpus: float | None = None
    memory_bytes: int | None = None


class Versions(Record, frozen=True, kw_only=True):
    """What really ran."""

    python: str = ""
    packages: dict[str, str] = {}  #: distribution name in lower case → version

    @property
    def told(self) -> str:
        """In one line, those that decide what a model answers."""
        named = [f"{n} {self.packages[n]}" for n in ("scikit-learn", "numpy") if n in self.packages]
        return ", ".join([*named, f"Python {self.python}"] if self.python else named) or "unknown versions"


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def to_json(value: object) -> bytes:
    """Any record, or lists and dicts of them, as JSON. NaN and infinity become null."""
    return msgspec.json.encode(value)


def to_builtins(value: object) -> Any:
    """Any record as plain dicts and lists, with times as RFC 3339 text."""
    return msgspec.to_builtins(value)


def from_json(data: bytes | str, kind: type[RecordT]) -> RecordT:
    """A record from JSON that a program of ours wrote or a client sent.

    Raises:
        InvalidRequest: malformed JSON or a wrong field; `at` is the JSON path.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        text = str(exc)
        message, _, path = text.partition(" - at `")
        raise InvalidRequest(
            f"The JSON body is wrong: {message}.", at=path.rstrip("`") or "$", hint=_fields_of(kind)
        ) from exc
    except RecursionError as exc:
        raise InvalidRequest("The JSON body is nested too deeply.", at="$") from exc


def from_kept_json(data: bytes, kind: type[RecordT]) -> RecordT:
    """A record as one of our programs kept it. What a newer one added is left out, also where a client
    would be told of a field that is none.

    Raises:
        Unreadable: it is not what was kept. Whoever asked can do nothing about that.
    """
    try:
        if not kind.__struct_config__.forbid_unknown_fields:
            return msgspec.json.decode(data, type=kind)
        said = msgspec.json.decode(data, type=dict[str, Any])
        return msgspec.convert(
            {name: said[name] for name in kind.__struct_fields__ if name in said}, type=kind
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Unreadable(
            f"A {kind.__name__} that was kept cannot be read any more: {exc}.",
            hint="Somebody or something altered the store; bring it back from a backup.",
        ) from exc


def from_builtins(value: object, kind: type[RecordT]) -> RecordT:
    """A record from decoded JSON (the SDK's side of an answer)."""
    return msgspec.convert(value, type=kind)


def _fields_of(kind: type[msgspec.Struct]) -> str:
    return f"Fields: {', '.join(f.name for f in msgspec.structs.fields(kind))}."
