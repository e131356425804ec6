"""Folders that documents name: packed and named by their hash for the plan, uploaded only to be applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fitq import snapshots
from fitq.cli.written import Written
from fitq.errors import FitqError, InvalidRequest
from fitq.sdk.client import Client


class Folders:
    """The packed folders of some documents, each once."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def named(self, written: Sequence[Written]) -> list[dict[str, Any]]:
        """The documents with `snapshot` where they say `folder`.

        Raises:
            InvalidRequest: there is no such folder, or it is too large; says file and line.
        """
        return [self._document(one) for one in written]

    def _document(self, one: Written) -> dict[str, Any]:
        given = one.document.get("folder")
        if one.document.get("kind") != "Function" or given is None:
            return one.document
        place = one.where("folder")
        if not isinstance(given, str) or "snapshot" in one.document:
            raise InvalidRequest(f"{place}: A function has one folder, or one snapshot.")
        try:
            packed = snapshots.pack(one.file.parent / given)
        except FitqError as exc:
            raise InvalidRequest(f"{place}: {exc.message}", hint=exc.hint) from exc
        self._packed[packed.sha256] = packed.data
        rest = {field: value for field, value in one.document.items() if field != "folder"}
        return {**rest, "snapshot": packed.sha256}

    def upload(self, client: Client, snapshots: Iterable[str]) -> None:
        """Send those that something will be made of."""
        for sha256 in sorted(set(snapshots) & self._packed.keys()):
            client.upload_snapshot(self._packed[sha256])
