"""Data that runs take as input: fetched once per machine, and shown to runs as read-only paths.

<folder>/<digest>/content/…    the files of one version of data
<folder>/<digest>.lock         held shared by runs that use it, exclusively by whoever fetches or removes it

Several workers of one machine may share the folder. A version appears by one rename: half of it is never
used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fitq import data
from fitq.backend import Backend
from fitq.environments.tool import Interrupted
from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.records import DataFile, DataRecord

log = get_logger(__name__)
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Input:
    """One input of a run, on this machine."""

    folder: Path
    path: Path  #: what the run is told: the folder, or the one file in it


class Inputs:
    """The inputs kept on a machine."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    @contextlib.contextmanager
    def held(
        self, backend: Backend, wanted: dict[str, str], unwanted: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Input]]:
        """The inputs of a run by name, kept from removal meanwhile.

        Args:
            wanted: input → `data:version`.
            unwanted: asked again and again while something is fetched or waited for.

        Raises:
            NotFound: the data is gone.
            Unavailable: the object store is away.
            OSError: there is no room for it.
            Interrupted: it is unwanted.
        """
        with contextlib.ExitStack() as holding:
            found = {}
            for name, given in wanted.items():
                record = data.resolve(backend, given)
                found[name] = self._input(record, holding.enter_context(self._one(backend, record, unwanted)))
            yield found

    def _input(self, record: DataRecord, folder: Path) -> Input:
        return Input(folder, folder if record.is_folder else folder / record.files[0].path)

    @contextlib.contextmanager
    def _one(self, backend: Backend, record: DataRecord, unwanted: Callable[[], bool]) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._folder / record.digest
        while True:
            with _locked(self._lock_of(place), fcntl.LOCK_SH, unwanted):
                if place.exists():
                    os.utime(place)
                    yield place / "content"
                    return
            # Only one fetches; it is looked for again afterwards, for it may be removed in between.
            with _locked(self._lock_of(place), fcntl.LOCK_EX, unwanted):
                if not place.exists():
                    self._make_room(record.size_bytes)
                    self._fetch(backend, record, place, unwanted)

    def _fetch(self, backend: Backend, record: DataRecord, place: Path, unwanted: Callable[[], bool]) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".fetching-") as temporary:
            content = Path(temporary, "whole", "content")
            content.mkdir(parents=True)
            for file in record.files:
                _write(backend, file, content / file.path, unwanted)
            for path in [content, *content.rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            content.parent.rename(place)
        log.info("input_fetched", data=record.id, bytes=record.size_bytes)

    def _make_room(self, wanted_bytes: int) -> None:
        """Remove what was used longest ago and nobody holds, until the new one fits."""
        kept = sorted(self._kept(), key=lambda place: place.stat().st_mtime)
        sizes = {place: _size(place) for place in kept}
        total = sum(sizes.values())
        for place in kept:
            if total + wanted_bytes <= self._max_bytes:
                return
            if self._remove(place):
                total -= sizes[place]

    def _kept(self) -> list[Path]:
        return [p for p in self._folder.iterdir() if p.is_dir() and not p.name.startswith(".")]

    def _remove(self, place: Path) -> bool:
        try:
            with _locked(self._lock_of(place), fcntl.LOCK_EX, lambda: True):
                gone = place.with_name(f".removing-{place.name}")
                place.rename(gone)
                _delete(gone)
                log.info("input_removed", digest=place.name)
                return True
        except (OSError, Interrupted):  # a run holds it, or somebody else removed it
            return False

    def _lock_of(self, place: Path) -> Path:
        return place.with_name(f"{place.name}.lock")


@contextlib.contextmanager
def _locked(file: Path, how: int, unwanted: Callable[[], bool]) -> Iterator[None]:
    """The lock of a file, let go with the process. The file stays: a removed one locks nothing."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _taken(descriptor, how):
            if unwanted():
                raise Interrupted
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(backend: Backend, file: DataFile, target: Path, unwanted: Callable[[], bool]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as out:
        for piece in data.open_file(backend, file):
            if unwanted():
                raise Interrupted
            out.write(piece)
        if out.tell() != file.size_bytes:
            raise Unavailable(f"{file.path!r} has {out.tell()} bytes instead of {file.size_bytes}.")


def _size(place: Path) -> int:
    return sum(p.lstat().st_size for p in place.rglob("*") if not p.is_dir())


def _delete(folder: Path) -> None:
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        path.chmod(0o700)
    shutil.rmtree(folder)
