"""Training functions that were published as code: fetched from the object store, each version listed once.

Only the list is kept: a run that is executed gets its own fresh copy of the folder, as a script does. A
folder is imported by the interpreter of the environment that it was published with, which is built for that.
What another worker of the pool has listed is taken over from it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import msgspec

from fitq.backend import Backend
from fitq.environments.builder import Environments
from fitq.environments.building import Watcher
from fitq.environments.tool import Interrupted
from fitq.errors import EnvironmentPostponed, FitqError, Unavailable
from fitq.logs import get_logger
from fitq.records import EnvironmentRecord, FunctionCode, FunctionRecord, FunctionVersion, version_of
from fitq.worker.folder import fetch_snapshot
from fitq.worker.importing import Importer
from fitq.worker.listing import list_folder
from fitq.worker.preparing import prepare

log = get_logger(__name__)


class PublishedFunctions:
    """What one pool's workers can run from published code."""

    def __init__(
        self,
        backend: Backend,
        pool: str,
        environments: Environments,
        importer: Importer,
        stopping: threading.Event,
    ) -> None:
        """`stopping` ends what is being built."""
        self._importer = importer
        self._backend, self._pool, self._environments = backend, pool, environments
        self._stopping = stopping
        self._told: dict[tuple[str, str], FunctionRecord] = {}  #: name and version → as others listed it
        self._listed: dict[str, list[FunctionRecord]] = {}  #: version → what its folder has
        self._unusable: dict[str, str] = {}  #: version → why its folder could not be looked into
        self._listing: threading.Thread | None = None
        self.functions: dict[str, FunctionRecord] = {}  #: the current ones of this pool

    def refresh(self, *, wait: bool = False) -> bool:
        """Take over what was published or withdrawn; whether anything was.

        A version that is new here is fetched and listed in the background, and taken over by a later call:
        its environment may have to be built and its files may take minutes to import, and the caller has
        leases to renew.

        Args:
            wait: for the listing, instead.

        Raises:
            Unavailable: Redis does not answer.
        """
        codes = [c for c in self._backend.state.list_published() if c.pool == self._pool]
        current = {c.name: c.current for c in codes}
        self._ask_others(current)
        unknown = {v.id: v for name, v in current.items() if not self._knows(name, v)}
        if unknown and (self._listing is None or not self._listing.is_alive()):
            self._listing = threading.Thread(
                target=self._list_all, args=(list(unknown.values()),), daemon=True
            )
            self._listing.start()
        if wait and self._listing is not None:
            self._listing.join()
        found = {c.name: self._record(c) for c in codes if self._knows(c.name, c.current)}
        for name in current.keys() - found.keys() & self.functions.keys():
            found[name] = self.functions[name]  # until its new version is listed
        changed, self.functions = found != self.functions, found
        return changed

    def _knows(self, name: str, version: FunctionVersion) -> bool:
        return version.id in self._listed or (name, version.id) in self._told

    def _ask_others(self, current: dict[str, FunctionVersion]) -> None:
        if all(self._knows(name, version) for name, version in current.items()):
            return
        for f in self._backend.state.list_functions():
            if f.pool == self._pool and f.snapshot and not f.error:  # an error may be that worker's own
                self._told[f.name, version_of(f.snapshot, f.environment)] = f

    def of_run(self, name: str, snapshot: str, environment: EnvironmentRecord) -> FunctionRecord | None:
        """A function in the version that a run carries, current or not.

        Raises:
            Unavailable, EnvironmentPostponed: not now; the run is not to blame.
            FitqError: its folder or its environment cannot be had.
        """
        version = version_of(snapshot, environment)
        if (name, version) in self._told:
            return self._told[name, version]
        if version not in self._listed or version in self._unusable:
            self._listed[version] = self._list(snapshot, environment)
            self._unusable.pop(version, None)
        return next((f for f in self._listed[version] if f.name == name), None)

    def _record(self, code: FunctionCode) -> FunctionRecord:
        version = code.current
        if version.id not in self._listed:
            return self._told[code.name, version.id]
        found = next((f for f in self._listed[version.id] if f.name == code.name), None)
        if found is None:
            found = FunctionRecord(name=code.name, pool=code.pool, error=self._why_missing(version.id))
        return msgspec.structs.replace(
            found, pool=code.pool, snapshot=code.snapshot, environment=version.environment
        )

    def _why_missing(self, version: str) -> str:
        if version in self._unusable:
            return self._unusable[version]
        there = self._listed[version]
        names = ", ".join(sorted(f.name for f in there if not f.error)) or "none"
        broken = "".join(f"; {f.problem}" for f in there if f.error)
        return f"the folder has no function of that name; it has {names}{broken}"

    def _list_all(self, versions: list[FunctionVersion]) -> None:
        for version in versions:
            self._list_one(version.id, version.snapshot, version.environment)

    def _list_one(self, version: str, snapshot: str, environment: EnvironmentRecord) -> None:
        """Remember what a version has. What may go better another time is not remembered."""
        try:
            self._listed[version] = self._list(snapshot, environment)
        except (Unavailable, EnvironmentPostponed) as exc:
            log.warning("function_code_not_listed", snapshot=snapshot, error=exc.message)
        except Interrupted:
            log.info("function_code_not_listed", snapshot=snapshot, error="the worker is stopping")
        except FitqError as exc:
            log.error("function_code_unusable", snapshot=snapshot, error=exc.message)
            self._unusable[version] = f"{exc.message} {exc.hint or ''}".strip()
            self._listed[version] = []

    def _list(self, snapshot: str, environment: EnvironmentRecord) -> list[FunctionRecord]:
        with self._importer.room() as room:
            code = room / "code"
            fetch_snapshot(self._backend, snapshot, code)
            self._importer.give(code)
            watcher = Watcher(_in_log(snapshot), self._stopping.is_set)
            prepared = prepare(self._environments, environment, watcher, patience_seconds=0)
            with contextlib.closing(prepared.runtime) as runtime:
                return list_folder(code, self._importer, runtime, cwd=code)


def _in_log(snapshot: str) -> Callable[[str], None]:
    return lambda line: log.info("function_environment", snapshot=snapshot, said=line)
