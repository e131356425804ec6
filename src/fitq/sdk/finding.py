"""Which registered model is meant: on the platform, or on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fitq.errors import InvalidRequest, NotFound
from fitq.sdk.answers import RegisteredModel
from fitq.sdk.client import Client


class Wanted:
    """Whether a record has the tags, properties, run and framework asked for."""

    def __init__(
        self,
        tags: Iterable[Any] | None,
        properties: Iterable[Any] | None,
        run_id: str | None,
        framework: str | None = None,
    ) -> None:
        self._tags = [_pair(t) for t in tags or []]
        self._properties = [_pair(p) for p in properties or []]
        self._run_id = run_id
        self._framework = framework

    def __call__(self, record: RegisteredModel) -> bool:
        return (
            all(_has(record.tags, *pair) for pair in self._tags)
            and all(_has(record.properties, *pair) for pair in self._properties)
            and self._run_id in (None, record.run)
            and self._framework in (None, record.framework)
        )


def _pair(wanted: Any) -> tuple[str, str | None]:
    """`"key"` or `["key", "value"]`."""
    return (wanted, None) if isinstance(wanted, str) else (str(wanted[0]), str(wanted[1]))


def _has(values: Mapping[str, str], key: str, value: str | None) -> bool:
    return key in values and value in (None, values[key])


def find(
    client: Client, name: str | None, id: str | None, version: int | str | None, wanted: Wanted
) -> RegisteredModel:
    if id is not None:
        name, _, version = id.rpartition(":")
    if not name:
        raise InvalidRequest("A model is found by its name, or by its id name:version.")
    if version is not None:
        found = [client.get_model(name, version)]
    else:
        found = client.get_model_summary(name).records
    fitting = [record for record in found if wanted(record)]
    if not fitting:
        raise NotFound(f"No version of model {name!r} fits.", hint=f"List them with: fitq models show {name}")
    return fitting[0]


def cached(folder: Path, version: int | str | None) -> Path | None:
    """A model's file on this machine: of that version, else of the newest that is here."""
    if not folder.is_dir():
        return None
    numbers = sorted((int(f.name) for f in folder.iterdir() if f.name.isdigit()), reverse=True)
    wanted = [int(version)] if version is not None else numbers
    for number in wanted:
        files = sorted(f for f in (folder / str(number)).glob("*") if f.is_file() and f.name[0] != ".")
        if files:
            return files[0]
    return None
