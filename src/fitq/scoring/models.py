"""Which model answers for a name and a version, and that it is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fitq.errors import ModelUnhealthy, ModelUnusable, NotFound, TooManyRequests
from fitq.names import check_name, version_number
from fitq.records import EntryScript, ModelRecord, from_json
from fitq.scorer.entry import EntryCode, lay_out
from fitq.scorer.golden import Golden
from fitq.scoring.files import ModelFiles, as_kept, no_disk
from fitq.scoring.homes import Homes
from fitq.scoring.served import OpenQueue, ServedModel
from fitq.scoring.watch import Watch
from fitq.store.catalog import Catalog
from fitq.store.checked import Altered, get_checked


class Models:
    """Finds and loads models of one workspace."""

    def __init__(
        self,
        catalog: Catalog,
        homes: Homes,
        files: ModelFiles,
        open_queue: OpenQueue,
        most_arriving: int = 512,
    ) -> None:
        """
        Args:
            most_arriving: requests that may wait for one model to be found and loaded.
        """
        self.watch: Watch[tuple[str, str], ServedModel] = Watch(self._look)
        self._catalog = catalog
        self._homes = homes
        self._files = files
        self._open_queue = open_queue
        self._most_arriving = most_arriving
        self._arriving: Counter[str] = Counter()  #: requests that wait for a model to be found and loaded
        self._served: dict[tuple[str, int], ServedModel] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def find(self, name: str, version: str = "latest") -> tuple[ServedModel, float | None]:
        """A model by version number, alias, or the newest; and the seconds it took if it was loaded for this.

        Raises:
            NotFound: names the versions and aliases there are.
            Unavailable: the object store is away and this model was never loaded.
            TooManyRequests: so many wait for it to be loaded already.
        """
        hot = self.watch.hot((name, version))
        if hot is not None:
            return hot, None
        began = time.monotonic()
        key = (check_name("model", name), checked_version(version))
        with self._arrival(name):
            served = await self.watch.get(key)
        return served, (time.monotonic() - began if served.loaded_at > began else None)

    @contextlib.contextmanager
    def _arrival(self, name: str) -> Iterator[None]:
        if self._arriving[name] >= self._most_arriving:
            raise TooManyRequests(
                f"{self._most_arriving} requests wait for model {name!r} to be loaded already.",
                reason="queue_full",
                retry_after=2,
            )
        self._arriving[name] += 1
        try:
            yield
        finally:
            self._arriving[name] -= 1
            if not self._arriving[name]:
                del self._arriving[name]

    @property
    def served(self) -> list[ServedModel]:
        """Every version that was asked for."""
        return list(self._served.values())

    @property
    def loaded(self) -> list[str]:
        """`name:version` of what has been loaded."""
        return [s.record.id for s in self._served.values() if s.loaded_at]

    @property
    def kept(self) -> set[str]:
        """`name:version` of what stays loaded whether or not somebody asks."""
        return {served.record.id for served in self.watch.kept()}

    async def _look(self, key: tuple[str, str]) -> ServedModel:
        name, version = key
        number = version_number(version)
        if number is None:
            number = await asyncio.to_thread(self._catalog.resolve, name, version)
        try:
            record = await asyncio.to_thread(self._catalog.model, name, number)
        except NotFound:
            self._served.pop((name, number), None)
            raise
        served = self._served.get((name, number))
        if served is None:
            path = self._files.path(record.sha256)
            served = self._served[name, number] = ServedModel(record, path, self._open_queue)
            self._files.know(record)
        if served.record != record:
            served.change(record)
        if not served.is_settled:
            await self._prepare(served)
        return served

    async def _prepare(self, served: ServedModel) -> None:
        """Have it answer; many at once cause one download and one load. A lasting problem is remembered."""
        record = served.record
        async with self._locks.setdefault(record.sha256, asyncio.Lock()):
            if served.is_settled:
                return
            try:
                if record.entry is not None and served.file.entry is None:
                    entry = await asyncio.to_thread(self._laid_out, record, record.entry)
                    served.file = served.file._replace(entry=entry)
                if record.is_scored:
                    golden = await asyncio.to_thread(self._golden, record)
                    served.file = served.file._replace(golden=golden, tolerated=record.tolerated)
                    served.move(*await self._homes.of(record))
                    served.replay = await served.scorer.load(served.file)
                served.loaded_at, served.problem = time.monotonic(), None
            except (ModelUnusable, ModelUnhealthy) as exc:
                served.tried_at, served.problem = time.monotonic(), exc
            except Altered as exc:  # not fetched for each request: it may be large
                served.tried_at = time.monotonic()
                served.problem = ModelUnhealthy(exc.message, hint=exc.hint)

    def _laid_out(self, record: ModelRecord, entry: EntryScript) -> EntryCode:
        """The folder that the entry script of this version has for itself."""
        key = self._catalog.keys.snapshot(entry.snapshot)
        packed = as_kept(lambda: get_checked(self._catalog.objects, key, entry.snapshot))
        if packed is None:
            raise ModelUnusable("The code of its entry script is no longer in the object store.")
        hashes = {m.path: m.sha256 for m in entry.models} or {Path(record.path).name: record.sha256}
        files = {path: self._files.path(sha256) for path, sha256 in hashes.items()}
        try:
            folder = Path(tempfile.mkdtemp(dir=self._files.folder, prefix="entry-"))
            return lay_out(entry.script, packed, files, folder)
        except OSError as exc:
            raise no_disk(exc) from exc

    def _golden(self, record: ModelRecord) -> Golden | None:
        """The answers recorded at registration, only if they are the recorded ones."""
        if not record.golden:
            return None
        try:
            data = as_kept(lambda: self._catalog.golden(record))
        except Altered:
            if not record.tolerated:
                raise
            return None
        if data is not None:
            return from_json(data, Golden)
        if record.tolerated:
            return None
        raise ModelUnusable("The answers it gave when it was registered are no longer in the object store.")


def checked_version(version: str) -> str:
    """A version number or an alias.

    Raises:
        InvalidRequest: it cannot be one.
    """
    return version if version_number(version) is not None else check_name("alias", version)
