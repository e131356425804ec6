"""The training functions of a folder, as a child process reports them, again whenever a file changes."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import msgspec

from fitq.errors import FitqError
from fitq.logs import get_logger
from fitq.records import FunctionRecord
from fitq.worker.importing import Importer
from fitq.worker.listing import list_folder

log = get_logger(__name__)


class FunctionsFolder:
    """What one pool's workers can run from a folder."""

    def __init__(self, folder: Path | None, pool: str, importer: Importer) -> None:
        self.folder, self.pool = folder, pool
        self._importer = importer
        self.functions: dict[str, FunctionRecord] = {}
        self._fingerprint: object = None
        self._reading: _Reading | None = None

    def refresh(self) -> bool:
        """Take over what is new in the folder; whether anything is.

        Waits only the first time. A folder that changed later is read in the background and taken over by a
        later call: its files may take minutes to import, and the caller has leases to renew.
        """
        if self.folder is None:
            return False
        is_first = self._fingerprint is None
        if self._reading is None and (fingerprint := _fingerprint(self.folder)) != self._fingerprint:
            self._fingerprint = fingerprint
            self._reading = _Reading(self.folder, self._importer)
            self._reading.start()
        if self._reading is not None and is_first:
            self._reading.join()
        if self._reading is None or self._reading.is_alive():
            return False
        found, self._reading = self._reading.found, None
        if found is None:  # not the doing of its files: they are read again
            self._fingerprint = ""
            return False
        self._take_over(found)
        return True

    def _take_over(self, found: list[FunctionRecord]) -> None:
        mine = [f for f in found if f.pool in (self.pool, "*")]
        self.functions = {f.name: msgspec.structs.replace(f, pool=self.pool) for f in mine}
        for broken in (f for f in mine if f.error):
            log.warning("function_file_broken", file=broken.file, error=broken.error)


class _Reading(threading.Thread):
    """One look at all files of a folder."""

    def __init__(self, folder: Path, importer: Importer) -> None:
        super().__init__(name="functions-folder", daemon=True)
        self._folder, self._importer = folder, importer
        self.found: list[FunctionRecord] | None = None  #: None: they could not be read now

    def run(self) -> None:
        try:
            self.found = list_folder(self._folder, self._importer)
        except FitqError as exc:
            log.error("functions_not_listed", folder=str(self._folder), error=exc.message)


def _fingerprint(folder: Path) -> object:
    """Equal as long as no file of the folder changes."""
    seen = []
    for file in sorted(folder.glob("*.py")):
        with contextlib.suppress(FileNotFoundError):  # editors replace files
            seen.append((file.name, file.stat().st_mtime_ns))
    return tuple(seen)
