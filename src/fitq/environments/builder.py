"""From a spec or a hash to a folder with an interpreter: found on this machine, or built on it."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fitq.environments.building import Building, Watcher
from fitq.environments.cache import OK, Cache, Lock
from fitq.environments.interpreters import (
    Choice,
    Interpreter,
    choose,
    find_interpreters,
    minor_of,
    own_interpreter,
    shown,
)
from fitq.environments.kept import Kept, KeptEnvironment
from fitq.environments.spec import EnvironmentSpec
from fitq.environments.tool import Tool, ToolFailed
from fitq.environments.trouble import DiskFull
from fitq.errors import EnvironmentFailed, EnvironmentPostponed
from fitq.logs import get_logger
from fitq.records import Record, from_json, to_json
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore

log = get_logger(__name__)
_NOBODY = Watcher()
_FETCH_SECONDS = 300.0
#: What people look for first in a list of packages.
_TELLING = ("scikit-learn", "numpy", "scipy", "joblib", "pandas")


class _Mark(Record, frozen=True, kw_only=True):
    """The `.ok` of a complete environment."""

    kept: KeptEnvironment
    python: str  #: release of the interpreter on this machine


class EnvironmentFolder:
    """A complete environment on this machine. It is not removed before it is closed."""

    def __init__(self, path: Path, kept: KeptEnvironment, release: str, lock: Lock) -> None:
        self.path, self.kept, self._lock = path, kept, lock
        self.release = release  #: of its interpreter, `3.6.15`

    @property
    def hash(self) -> str:
        """64 hex digits: these packages, for this Python, on this platform."""
        return self.kept.hash

    @property
    def python(self) -> Path:
        """Its interpreter. Started by this path, it finds its packages."""
        return self.path / "bin" / "python"

    @property
    def packages(self) -> dict[str, str]:
        """Name → version."""
        return self.kept.packages

    def held_too(self) -> EnvironmentFolder:
        """The same for one more user, who closes it too."""
        return EnvironmentFolder(self.path, self.kept, self.release, self._lock.shared_too())

    def close(self) -> None:
        """From now on it may be removed. Twice is fine."""
        self._lock.release()


class Environments:
    """All environments, as one machine sees them. Many threads and processes may use one folder."""

    def __init__(
        self,
        folder: Path,
        objects: ObjectStore,
        keys: ObjectKeys,
        *,
        pythons: str = "",
        downloads: bool = True,
        limit_bytes: int = 20_000_000_000,
    ) -> None:
        """
        Args:
            pythons: interpreters from settings, see `interpreters.py`.
            downloads: whether uv may fetch an interpreter that is not here.
            limit_bytes: what is kept in `folder`, unless more is in use.
        """
        self._cache, self._kept = Cache(folder), Kept(objects, keys)
        self._tool = Tool(self._cache.packages, self._cache.pythons)
        self._pythons, self._downloads, self._limit = pythons, downloads, limit_bytes
        self._not_to_be_had: set[str] = set()  #: Pythons that uv could not fetch
        self._found: list[Interpreter] = []
        self._looking = threading.Lock()

    def interpreters(self) -> list[Interpreter]:
        """The Pythons on this machine, oldest first; looked for once."""
        with self._looking:
            if not self._found:
                self._found = find_interpreters(self._pythons, self._cache.pythons)
            return self._found

    def choose(self, spec: EnvironmentSpec, watcher: Watcher = _NOBODY) -> Choice:
        """The interpreter for a spec; fetched, when none of that minor version is here and uv can get one.

        Raises:
            EnvironmentFailed: none fits, and the spec is strict.
            Interrupted: the watcher lost interest.
        """
        if self._downloads and spec.python and not spec.allows(own_interpreter().release):
            near = [i for i in self.interpreters() if spec.allows(i.release) or i.minor == minor_of(spec)]
            if not near and spec.python not in self._not_to_be_had:
                self._fetch_python(spec, watcher)
        return choose(spec, self.interpreters)

    def _fetch_python(self, spec: EnvironmentSpec, watcher: Watcher) -> None:
        watcher.say(f"looking for Python {shown(spec.python)}, which is not on this machine")
        self._cache.make()
        for request in (shown(spec.python), minor_of(spec)):
            try:
                self._tool.run(
                    *("python", "install", "--no-bin", request),
                    interrupted=watcher.interrupted,
                    seconds=_FETCH_SECONDS,
                )
            except ToolFailed as failed:
                log.info("python_not_fetched", request=request, error="; ".join(failed.lines[-1:]))
                continue
            watcher.say(f"fetched Python {request}")
            self._found = []
            return
        self._not_to_be_had.add(spec.python)

    def prepare(self, spec: EnvironmentSpec, choice: Choice, watcher: Watcher = _NOBODY) -> EnvironmentFolder:
        """The environment of a spec; built, if this machine has it not.

        Raises:
            EnvironmentFailed: it cannot be built as it is asked for.
            EnvironmentPostponed: not here or not now: the package index is away, or the disk is full.
            Unavailable: the object store is away.
            Interrupted: the watcher lost interest.
        """
        name = spec.hash_for(choice.interpreter.tag, choice.interpreter.platform)
        return self._open(name) or self._built(name, choice.interpreter, spec, watcher)

    def open(self, hash: str, watcher: Watcher = _NOBODY) -> EnvironmentFolder:
        """The environment of a hash that was built before, somewhere; built here from its exact packages.

        Raises:
            NotFound: it was never built.
            EnvironmentFailed, EnvironmentPostponed, Unavailable, Interrupted: as `prepare`.
        """
        there = self._open(hash)
        if there is not None:
            return there
        kept = self._kept.get(hash)
        fitting = [i for i in self.interpreters() if (i.tag, i.platform) == (kept.tag, kept.platform)]
        if not fitting:
            raise EnvironmentFailed(
                f"Environment {hash[:12]} needs {kept.tag} on {kept.platform}, which this machine has not.",
                hint=f"Install Python {kept.python} here and name its path in FITQ_PYTHONS.",
            )
        spec = EnvironmentSpec(requirements=kept.requirements, exclude_newer=kept.exclude_newer)
        return self._built(hash, fitting[-1], spec, watcher)

    def trim(self, limit_bytes: int | None = None) -> list[str]:
        """Remove what was not used for longest and what nobody holds, down to the limit; its hashes."""
        removed = self._cache.trim(self._limit if limit_bytes is None else limit_bytes)
        if removed:
            self._forget_packages()
        return removed

    def _open(self, name: str) -> EnvironmentFolder | None:
        self._cache.make()
        lock = self._cache.lock(name)
        if lock.try_take(exclusive=False) and self._cache.is_complete(name):
            return self._opened(name, lock)
        lock.release()
        return None

    def _opened(self, name: str, lock: Lock) -> EnvironmentFolder:
        path = self._cache.built(name)
        mark = from_json((path / OK).read_bytes(), _Mark)
        self._cache.use(name)
        return EnvironmentFolder(path, mark.kept, mark.python, lock)

    def _built(
        self, name: str, interpreter: Interpreter, spec: EnvironmentSpec, watcher: Watcher
    ) -> EnvironmentFolder:
        lock = self._cache.lock(name)
        building = Building(self._tool, interpreter, spec, watcher)
        try:
            self._build_alone(name, building, lock)
            return self._opened(name, lock)
        except BaseException:
            lock.release()
            raise

    def _build_alone(self, name: str, building: Building, lock: Lock) -> None:
        """Build it unless somebody else just did; afterwards the lock is held as by one who uses it."""
        while True:
            if lock.try_take(exclusive=True):
                if not self._cache.is_complete(name):
                    self._build_with_room(name, building)
            else:
                building.say(f"environment {name[:12]} is being built for another run; waiting for it")
            lock.take(exclusive=False, interrupted=building.watcher.interrupted)
            if self._cache.is_complete(name):
                return
            lock.free()  # that build failed, or somebody removed it between the two locks

    def _build_with_room(self, name: str, building: Building) -> None:
        try:
            self._build(name, building)
        except DiskFull:
            building.say("the disk is full: removing environments that nothing uses")
            self.trim(0)
            try:
                self._build(name, building)
            except DiskFull as exc:
                raise EnvironmentPostponed(
                    f"There is no room for the environment in {self._cache.folder} of this worker.",
                    hint="Free space there, or name another folder in FITQ_ENVIRONMENTS.",
                ) from exc
        if removed := self.trim():
            building.say(f"removed {len(removed)} environments that nothing uses, to stay within the limit")

    def _build(self, name: str, building: Building) -> None:
        began, kept = time.monotonic(), self._kept.find(name)
        building.say(f"building environment {name[:12]} for Python {building.interpreter.release}")
        with _full_disk_told(), self._cache.place_to_build(name) as place:
            locked = kept.locked if kept else building.resolve(place)
            building.install(place / "env", locked)
            if kept is None:
                kept = self._kept.keep(building.facts(name, place / "env", locked), "\n".join(building.lines))
                if kept.locked != locked:  # another worker resolved it at the same time, and was first
                    building.sync(place / "env", kept.locked)
            mark = _Mark(kept=kept, python=building.interpreter.release)
            (place / "env" / OK).write_bytes(to_json(mark))
        seconds = time.monotonic() - began
        building.say(f"environment ready in {seconds:.1f} s: {summary(kept.packages)}")
        log.info("environment_built", environment=name, seconds=round(seconds, 2))

    def _forget_packages(self) -> None:
        """Let uv drop the packages of which no environment here is made any more."""
        used = {package for name in self._cache.names() for package in self._packages_of(name)}
        unused = sorted(self._cache.cached_packages() - used)
        if unused:
            with contextlib.suppress(ToolFailed):
                self._tool.run("cache", "clean", *unused)

    def _packages_of(self, name: str) -> list[str]:
        try:
            return list(from_json((self._cache.built(name) / OK).read_bytes(), _Mark).kept.packages)
        except OSError:  # removed at this very moment
            return []


def summary(packages: dict[str, str]) -> str:
    """The packages that people look for first, and how many there are."""
    told = [f"{name} {packages[name]}" for name in _TELLING if name in packages]
    count = "1 package" if len(packages) == 1 else f"{len(packages)} packages"
    return f"{', '.join(told)} ({count})" if told else count


@contextlib.contextmanager
def _full_disk_told() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from exc
        raise
