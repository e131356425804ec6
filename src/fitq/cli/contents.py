"""Files and folders that documents name: named by their hash for the plan, sent only to be applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fitq import snapshots
from fitq.cli.written import Written
from fitq.errors import FitqError, InvalidRequest
from fitq.sdk.client import Client
from fitq.sdk.local_data import read_data


class Named(NamedTuple):
    """Content under its hash, and how it is sent."""

    digest: str
    send: Callable[[Client], None]


def _packed(folder: Path) -> Named:
    packed = snapshots.pack(folder)

    def send(client: Client) -> None:
        client.upload_snapshot(packed.data)

    return Named(packed.sha256, send)


def _read(path: Path) -> Named:
    local = read_data(path)
    return Named(local.content.digest, lambda client: client.send_data(local))


class _Way(NamedTuple):
    """What documents of a kind may say instead of a hash."""

    word: str
    field: str  #: that the server knows
    name: Callable[[Path], Named]


_WAYS = {"Function": _Way("folder", "snapshot", _packed), "Data": _Way("path", "digest", _read)}


class Contents:
    """What some documents name, each once."""

    def __init__(self) -> None:
        self._named: dict[str, Named] = {}

    def named(self, written: Sequence[Written]) -> list[dict[str, Any]]:
        """The documents with a hash where they name a file or folder.

        Raises:
            InvalidRequest: it is not there, or too large; says file and line.
        """
        return [self._document(one) for one in written]

    def _document(self, one: Written) -> dict[str, Any]:
        way = _WAYS.get(str(one.document.get("kind")))
        if way is None or way.word not in one.document:
            return one.document
        given, place = one.document[way.word], one.where(way.word)
        if not isinstance(given, str) or way.field in one.document:
            kind = one.document["kind"]
            raise InvalidRequest(f"{place}: A {kind} has one {way.word}, or one {way.field}.")
        try:
            found = way.name(one.file.parent / given)
        except FitqError as exc:
            raise InvalidRequest(f"{place}: {exc.message}", hint=exc.hint) from exc
        self._named[found.digest] = found
        rest = {field: value for field, value in one.document.items() if field != way.word}
        return {**rest, way.field: found.digest}

    def send(self, client: Client, digests: Iterable[str]) -> None:
        """Send those that something will be made of."""
        for digest in sorted(set(digests) & self._named.keys()):
            self._named[digest].send(client)
