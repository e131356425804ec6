"""Training functions that were published as code: fetched from the object store and listed, each folder once.

Only the list is kept. A run that is executed gets its own fresh copy of the folder, as a script does.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import msgspec

from fitq.backend import Backend
from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger
from fitq.records import FunctionCode, FunctionRecord
from fitq.worker.folder import fetch_snapshot
from fitq.worker.functions_folder import list_folder

log = get_logger(__name__)


class PublishedFunctions:
    """What one pool's workers can run from published code."""

    def __init__(self, backend: Backend, pool: str) -> None:
        self._backend, self._pool = backend, pool
        self._listed: dict[str, dict[str, FunctionRecord]] = {}  #: snapshot → function's name → what it is
        self._listing: threading.Thread | None = None
        self.functions: dict[str, FunctionRecord] = {}  #: the current ones of this pool

    def refresh(self, *, wait: bool = False) -> bool:
        """Take over what was published or withdrawn; whether anything was.

        A folder that is new here is fetched and listed in the background, and taken over by a later call:
        its files may take minutes to import, and the caller has leases to renew.

        Args:
            wait: for the listing, instead.

        Raises:
            Unavailable: Redis does not answer.
        """
        codes = [c for c in self._backend.state.list_published() if c.pool == self._pool]
        unknown = sorted({c.snapshot for c in codes} - self._listed.keys())
        if unknown and (self._listing is None or not self._listing.is_alive()):
            self._listing = threading.Thread(target=self._list_all, args=(unknown,), daemon=True)
            self._listing.start()
        if wait and self._listing is not None:
            self._listing.join()
        current = {c.name: self._record(c) for c in codes if c.snapshot in self._listed}
        for name in {c.name for c in codes} - current.keys() & self.functions.keys():
            current[name] = self.functions[name]  # until its new code is listed
        changed, self.functions = current != self.functions, current
        return changed

    def of_run(self, name: str, snapshot: str) -> FunctionRecord | None:
        """A function in the version that a run carries, current or not."""
        if snapshot not in self._listed:
            self._list_all([snapshot])
        return self._listed.get(snapshot, {}).get(name)

    def _record(self, code: FunctionCode) -> FunctionRecord:
        found = self._listed[code.snapshot].get(code.name)
        if found is None:
            known = ", ".join(sorted(self._listed[code.snapshot])) or "none"
            found = FunctionRecord(
                name=code.name,
                pool=code.pool,
                error=f"the folder has no function of that name; it has {known}",
            )
        return msgspec.structs.replace(found, pool=code.pool, snapshot=code.snapshot)

    def _list_all(self, snapshots: list[str]) -> None:
        for snapshot in snapshots:
            try:
                found = self._list(snapshot)
            except Unavailable as exc:
                log.warning("function_code_not_fetched", snapshot=snapshot, error=exc.message)
                continue
            except (
                FitqError
            ) as exc:  # it is gone, or nothing that can be unpacked: looking again is of no use
                log.error("function_code_unusable", snapshot=snapshot, error=exc.message)
                found = []
            if found is not None:
                self._listed[snapshot] = {f.name: f for f in found}

    def _list(self, snapshot: str) -> list[FunctionRecord] | None:
        with tempfile.TemporaryDirectory(prefix="fitq-functions-") as folder:
            code = Path(folder, "code")
            fetch_snapshot(self._backend, snapshot, code)
            return list_folder(code)
