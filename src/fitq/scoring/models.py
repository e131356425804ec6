"""Which model answers for a name and a version, and that it is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fitq.errors import ModelUnhealthy, ModelUnusable, NotFound, ScoringFailed, TooManyRequests
from fitq.names import check_name, version_number
from fitq.records import EntryScript, InputSchema, ModelRecord, from_json
from fitq.schema import ArraySchema
from fitq.scorer.client import ModelFile, Scorer
from fitq.scorer.entry import EntryCode, lay_out
from fitq.scorer.golden import Golden, Replay
from fitq.scoring.batch import Batches
from fitq.scoring.calls import Calls
from fitq.scoring.dialects.form import Dialect, QuickReader
from fitq.scoring.files import ModelFiles, as_kept, no_disk
from fitq.scoring.homes import Homes
from fitq.scoring.turns import Turns
from fitq.scoring.watch import Watch
from fitq.store.catalog import Catalog
from fitq.store.checked import Altered, get_checked

#: A model that does not load is not tried again for so long.
_RETRY_SECONDS = 10.0
_NOTHING = InputSchema(columns=[])
#: Makes the queue of a model that is asked in a scorer.
OpenQueue = Callable[[Scorer, ModelFile], Batches]


class ServedModel:
    """One version of a model, as requests find it."""

    def __init__(self, record: ModelRecord, path: Path, open_queue: OpenQueue) -> None:
        self.record = record
        self.file = ModelFile(record.id, path, record.input_schema or _NOTHING, names=record.names)
        self.loaded_at = 0.0  #: on the monotonic clock
        self.problem: ModelUnusable | ModelUnhealthy | None = (
            None  #: why it does not answer, when it does not
        )
        self.replay: Replay | None = None  #: how its recorded answers compare to those it gives here
        self.tried_at = -math.inf  #: when that was found
        #: method → answer to the example rows, once asked for; of a script its body
        self.example_answers: dict[str, Any] = {}
        self.environment = ""  #: hash of the one it is loaded in; empty: scoring's own
        self.turns = Turns()  #: at its entry script, if it has one
        self._scorer: Scorer | None = None
        self._open_queue = open_queue
        self._queue: Batches | None = None
        self._calls: dict[str, Calls] = {}
        self._quick: dict[Callable[[ArraySchema], QuickReader], QuickReader] = {}

    def check(self) -> None:
        """Pass if the model answers.

        Raises:
            ModelUnhealthy: it answers otherwise here than when it was registered, or its bytes are others.
            ScoringFailed: it does not load here; the caller cannot mend that.
        """
        if isinstance(self.problem, ModelUnhealthy):
            raise ModelUnhealthy(self.problem.message, hint=self.problem.hint, **self.problem.data)
        if self.problem is not None:
            raise unusable_here(self.record, self.problem)

    def change(self, record: ModelRecord) -> None:
        """Follow what may change of a version, such as whether other answers are tolerated."""
        self.record = record
        self.file = self.file._replace(tolerated=record.tolerated)
        self.loaded_at, self.tried_at = 0.0, -math.inf
        self._forget_calls()

    @property
    def warning(self) -> str:
        """What every answer says beside it; empty when all is well."""
        if self.replay is None or self.replay.difference is None:
            return ""
        return f"answers otherwise than when it was registered: {self.replay.difference}"

    def move(self, environment: str, scorer: Scorer) -> None:
        """From now on it answers there."""
        self.environment, self._scorer = environment, scorer
        self._forget_calls()

    def _forget_calls(self) -> None:
        self._queue = None  # whoever waits in it is still answered
        self._calls.clear()

    @property
    def scorer(self) -> Scorer:
        """Where it answers, once it was prepared."""
        assert self._scorer is not None
        return self._scorer

    def calls(self, method: str) -> Calls:
        """How one of its methods is called."""
        if method not in self._calls:
            if self._queue is None:
                self._queue = self._open_queue(self.scorer, self.file)
            self._calls[method] = Calls(self.scorer, self.file, method, self.schema, self._queue)
        return self._calls[method]

    @property
    def waiting(self) -> int:
        """Requests that wait for a call of any of its methods, or for its entry script."""
        return self.turns.waiting + (self._queue.waiting if self._queue else 0)

    @property
    def memory_bytes(self) -> int:
        """What it takes of its scorer's memory, about; 0 while it is not loaded there."""
        return self._scorer.loaded_bytes.get(self.record.id, 0) if self._scorer else 0

    @property
    def batching(self) -> dict[str, str]:
        """Method → whether requests share its calls; of methods that answered since it was loaded here."""
        return {method: calls.batching for method, calls in self._calls.items()}

    @property
    def is_settled(self) -> bool:
        """Loaded, or found not to load a moment ago."""
        return bool(self.loaded_at) or time.monotonic() < self.tried_at + _RETRY_SECONDS

    @functools.cached_property
    def schema(self) -> ArraySchema:
        """The check of rows.

        Raises:
            ModelUnusable: the model is kept, but cannot be scored.
        """
        if self.record.input_schema is None or not self.record.methods:
            raise ModelUnusable(
                f"Model {self.record.id} is kept, but it cannot be scored.",
                hint=" ".join(self.record.warnings) or "It has no predict-like method.",
            )
        return ArraySchema(self.record.input_schema)

    def quick_reader(self, dialect: Dialect) -> QuickReader | None:
        """For bodies that are as they should be; None where this wire format has none."""
        make = dialect.quick
        if make is None:
            return None
        if make not in self._quick:
            self._quick[make] = make(self.schema)
        return self._quick[make]


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


def unusable_here(record: ModelRecord, exc: ModelUnusable) -> ScoringFailed:
    """Nothing a caller can mend: the model was registered, and does not load where it is served."""
    return ScoringFailed(
        f"Model {record.id} cannot be loaded: {exc.message}",
        hint=exc.hint or f"It was registered with {record.versions.packages or 'unknown versions'}.",
        **exc.data,
    )


def checked_version(version: str) -> str:
    """A version number or an alias.

    Raises:
        InvalidRequest: it cannot be one.
    """
    return version if version_number(version) is not None else check_name("alias", version)
