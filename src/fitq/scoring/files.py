"""Model files on this machine's disk: fetched once, checked, and removed when others need the room.

Each is named by its SHA-256 in one folder, which the processes at one port share.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from fitq.errors import ModelUnusable, Unavailable
from fitq.logs import get_logger
from fitq.names import is_sha256
from fitq.records import ModelRecord
from fitq.scorer.client import ModelFile
from fitq.store.catalog import Catalog
from fitq.store.checked import Altered, open_checked

T = TypeVar("T")
log = get_logger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Stored(NamedTuple):
    """A file of a model in the object store."""

    object_key: str
    sha256: str


class ModelFiles:
    """Fetches what is to be loaded. Those of loaded models stay; of the others those that were loaded the
    longest ago go first."""

    def __init__(
        self, catalog: Catalog, folder: Path, most_bytes: int, loaded: Callable[[], Iterable[str]]
    ) -> None:
        """`loaded` tells the keys, `name:version`, of the models that are in memory."""
        self.folder = folder
        self._catalog, self._most_bytes = catalog, most_bytes
        self._loaded = loaded
        self._of: dict[str, list[Stored]] = {}  #: model → its files
        self._held: Counter[str] = Counter()  #: hashes of those that are being loaded
        self._locks: dict[str, asyncio.Lock] = {}

    def path(self, sha256: str) -> Path:
        """Where a file is, once it was fetched."""
        return self.folder / sha256

    def know(self, record: ModelRecord) -> None:
        """Remember which files a version of a model has."""
        more = record.entry.models if record.entry else []
        own = Stored(record.object_key, record.sha256)
        self._of[record.id] = [own, *(Stored(m.object_key, m.sha256) for m in more)]

    @contextlib.asynccontextmanager
    async def held(self, model: ModelFile) -> AsyncIterator[None]:
        """Inside, the files of a model are here, and stay.

        Raises:
            ModelUnusable: one is gone.
            Unavailable: the object store is away, or sends other bytes; or the disk is full.
        """
        files = self._of[model.key]
        self._held.update(f.sha256 for f in files)
        try:
            for file in files:
                async with self._locks.setdefault(file.sha256, asyncio.Lock()):
                    await self._have(file)
            yield
        finally:
            self._held.subtract(f.sha256 for f in files)
            self._held += Counter()  # forget those that nobody holds

    async def _have(self, file: Stored) -> None:
        try:
            if not self._touched(file):
                await self._fetched(file)
                await self._keep(self._most_bytes)
        except OSError as exc:
            raise no_disk(exc) from exc

    def _touched(self, file: Stored) -> bool:
        """Note that a file is used now; whether it is there."""
        try:
            os.utime(self.path(file.sha256))
        except FileNotFoundError:
            return False
        return True

    async def _fetched(self, file: Stored) -> None:
        """Fetch; on a full disk once more, without the files that are not needed now."""
        try:
            await asyncio.to_thread(self._fetch, file)
        except OSError as exc:
            if exc.errno not in _FULL or not await self._keep(0):
                raise
            await asyncio.to_thread(self._fetch, file)

    async def _keep(self, most_bytes: int) -> int:
        """Remove files until the others are no larger; how many were removed."""
        files = await asyncio.to_thread(self._listed)
        total, removed, in_use = sum(size for _, size, _ in files), 0, self._in_use()
        for _, size, name in files:
            if total <= most_bytes:
                break
            if name not in in_use:
                self.path(name).unlink(missing_ok=True)
                log.info("model_file_removed", sha256=name, bytes=size)
                total, removed = total - size, removed + 1
        return removed

    def _listed(self) -> list[tuple[float, int, str]]:
        """(when it was last loaded, bytes, SHA-256) of each file, the oldest first."""
        found = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):  # another process removes some too
                if is_sha256(entry.name):
                    found.append((entry.stat().st_mtime, entry.stat().st_size, entry.name))
        return sorted(found)

    def _in_use(self) -> set[str]:
        return {f.sha256 for key in self._loaded() for f in self._of.get(key, ())} | set(self._held)

    def _fetch(self, file: Stored) -> None:
        """Bytes from the object store, kept only if they are the ones that were registered."""
        as_kept(lambda: self._write(file))

    def _write(self, file: Stored) -> None:
        pieces = open_checked(self._catalog.objects, file.object_key, file.sha256)
        if pieces is None:
            raise ModelUnusable("Its file is no longer in the object store.")
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as out:
            partial = Path(out.name)
            try:
                out.writelines(pieces)
                out.flush()
                partial.rename(self.path(file.sha256))
            finally:
                partial.unlink(missing_ok=True)


def as_kept(read: Callable[[], T]) -> T:
    """What comes from the object store, tried once more if other bytes came than were kept.

    Raises:
        Altered: they did again.
    """
    with contextlib.suppress(Altered):
        return read()
    return read()


def no_disk(exc: OSError) -> Unavailable:
    """The error for a disk on which nothing can be kept at the moment."""
    return Unavailable(
        f"The model's files cannot be kept on the disk of the scoring program: {exc.strerror or exc}.",
        hint="Try again later. Whoever runs it may give its folder of temporary files more room.",
        reason="disk",
        retry_after=10,
    )
