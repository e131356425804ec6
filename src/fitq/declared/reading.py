"""Documents as they were sent → fields that fit their kind, or everything that is wrong with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from fitq.declared.kind import Kind, Kinds
from fitq.documents import Problem
from fitq.errors import FitqError, InvalidRequest
from fitq.names import check_name, did_you_mean


class Declared(NamedTuple):
    """One document that can be understood."""

    position: int
    kind: Kind[Any]
    name: str
    said: dict[str, Any]  #: its fields, without kind and name

    @property
    def key(self) -> str:
        return f"{self.kind.name}/{self.name}"


class Wrong(Exception):
    """One thing wrong with one document."""

    def __init__(self, at: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at, self.message, self.hint = at, message, hint


def read_documents(kinds: Kinds, documents: Sequence[dict[str, Any]]) -> tuple[list[Declared], list[Problem]]:
    """What can be understood, and what cannot."""
    found: dict[str, Declared] = {}
    problems: list[Problem] = []
    for position, document in enumerate(documents):
        try:
            read = _read(kinds, position, document)
            if read.key in found:
                raise Wrong(
                    "name", f"{read.kind.name} {read.name!r} is declared twice.", "Keep one of the two."
                )
            found[read.key] = read
        except Wrong as wrong:
            problems.append(problem(position, wrong))
    return list(found.values()), problems


def problem(position: int, wrong: Wrong) -> Problem:
    """A problem of the document at this position."""
    return Problem(document=position, at=wrong.at, message=wrong.message, hint=wrong.hint)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise all of them as one error, the first in front."""
    if problems:
        first = problems[0]
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        raise InvalidRequest(
            f"{first.message}{more}",
            hint=first.hint,
            at=f"documents[{first.document}]{'.' if first.at else ''}{first.at}",
            problems=msgspec.to_builtins(problems),
        )


def _read(kinds: Kinds, position: int, document: dict[str, Any]) -> Declared:
    kind = _kind(kinds, document.get("kind"))
    name = document.get("name")
    if not isinstance(name, str):
        raise Wrong("name" if "name" in document else "", f"A {kind.name} needs a name.", "Write name: …")
    with wrong_at("name"):
        check_name(kind.noun, name)
    said = {field: value for field, value in document.items() if field not in ("kind", "name")}
    as_spec(kind, said)
    return Declared(position, kind, name, said)


def _kind(kinds: Kinds, given: object) -> Kind[Any]:
    known = ", ".join(kinds)
    if given is None:
        raise Wrong("", "The document has no kind.", f"Write kind: {known.replace(', ', ' | ')}.")
    if not isinstance(given, str) or given not in kinds:
        raise Wrong(
            "kind",
            f"There is no kind {given!r}. {did_you_mean(str(given), kinds)}".strip(),
            f"Kinds: {known}.",
        )
    return kinds[given]


def as_spec(kind: Kind[Any], fields: dict[str, Any]) -> Any:
    """Fields as the kind's own type.

    Raises:
        Wrong: with the path of what does not fit.
    """
    try:
        return msgspec.convert(fields, type=kind.spec)
    except msgspec.ValidationError as exc:
        message, _, path = str(exc).partition(" - at `")
        fields_of = ", ".join(f.name for f in msgspec.structs.fields(kind.spec))
        at = path.rstrip("`").removeprefix("$").removeprefix(".")
        if "unknown field" in message:
            at = message.rpartition(" ")[2].strip("`")
            message = (
                f"A {kind.name} has no field `{at}`. {did_you_mean(at, kind.spec.__struct_fields__)}".strip()
            )
            raise Wrong(at, message, f"Fields: {fields_of}.") from exc
        raise Wrong(_plain(at), f"{message}.", f"Fields: {fields_of}.") from exc


def _plain(at: str) -> str:
    """msgspec writes `traffic[...]` for a value of a mapping: name the field at least."""
    return at.replace("[...]", "").partition("[")[0] if "[" in at else at


@contextlib.contextmanager
def wrong_at(at: str = "") -> Iterator[None]:
    """A context in which any refusal is about this field, or about the one that it names itself."""
    try:
        yield
    except FitqError as exc:
        if exc.status >= 500:
            raise
        named = exc.data.get("at")
        raise Wrong(at or (named if isinstance(named, str) else ""), exc.message, exc.hint) from exc
