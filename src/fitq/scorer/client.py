"""Predicting with models in a scorer child, for programs that answer many requests at once.

The child may die of any request. What was in flight then gets `Unavailable`; the next request starts another
child, into which models are loaded again as they are asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from fitq.errors import FitqError, ModelUnusable, ScoringFailed, Unavailable
from fitq.logs import get_logger
from fitq.records import InputSchema, Versions
from fitq.scorer import process
from fitq.scorer.announcing import Announced, announced, predictions_in, table
from fitq.scorer.confinement import NOT_CONFINED, Confinement
from fitq.scorer.entry import EntryAnswer, EntryCode, answer_to, load_header, refused_by_script
from fitq.scorer.golden import Answer, Golden, Replay, answer_of, compared, failed, unhealthy
from fitq.scorer.inspection import inspect_model
from fitq.scorer.link import Link
from fitq.scorer.reasons import cause, refused, why_script_fails, why_unusable
from fitq.units import format_bytes

if TYPE_CHECKING:  # at run time it would bring inference-schema to programs that only inspect
    from fitq.schema import Rows

log = get_logger(__name__)
_LOAD_SECONDS = 120.0
#: Models in one child, whatever they weigh; each costs a little bookkeeping.
_MAX_MODELS = 10_000
_BLAME_SECONDS = 60.0
_BLAMED_TOO_OFTEN = 3
#: Once may be one large request. Again and again is memory that the model keeps.
_FULL_TOO_OFTEN = 3


class ModelFile(NamedTuple):
    """A model on this machine's disk, its bytes already checked."""

    key: str  #: name:version
    path: Path
    input_schema: InputSchema
    golden: Golden | None = None  #: what it answered when it was registered; asked again at every load
    names: list[str] | None = None  #: `module name` of all that it may import; None: it is trusted
    tolerated: bool = False  #: an operator wants it served although it answers otherwise here
    entry: EntryCode | None = None  #: the script that answers with it; None: it answers by itself


class Outcome(NamedTuple):
    """What a method answered."""

    predictions: Any  #: one entry per row: an array of shape (n, …), or a list
    seconds: float  #: inside the method
    cold_seconds: float | None = None  #: that the request waited for its model to be loaded, if it did


AnswerT = TypeVar("AnswerT", Outcome, EntryAnswer)


#: Holds the files of a model while it is being loaded.
Holding = Callable[[ModelFile], contextlib.AbstractAsyncContextManager[None]]


def already_here(_: ModelFile) -> contextlib.AbstractAsyncContextManager[None]:
    """For files that somebody else keeps."""
    return contextlib.nullcontext()


class Scorer:
    """Predicts with models in a child process, which it starts, watches and replaces."""

    def __init__(
        self,
        *,
        seconds: float = 60.0,
        interpreter: str = sys.executable,
        memory_bytes: int = 0,
        models_bytes: int = 2_000_000_000,
        program: Path = process.MODELS,
        held: Holding = already_here,
        confinement: Confinement = NOT_CONFINED,
        reads: Sequence[Path] = (),
    ) -> None:
        """`reads`: what a child needs to read; that of an entry script also reads what its script needs."""
        self._seconds = seconds
        self._program, self._held = program, held
        self._confinement, self._reads = confinement, reads
        self._models_bytes = models_bytes
        self._interpreter = interpreter
        self._memory_bytes = memory_bytes
        self._asked = time.monotonic()
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        self._headers: dict[
            tuple[str, str], Announced
        ] = {}  #: (model, method) → how its matrices are announced
        self._ended: dict[str, list[float]] = {}  #: model → when it ended its child, lately
        self._stopped = False
        self._wanted: Counter[str] = Counter()  #: models that are loaded for a question, with how many
        self.starts = 0  #: children that were started
        self.loads = 0  #: models that were loaded
        self.failed_loads = 0
        self.evictions = 0  #: models that were unloaded to make room

    async def start(self) -> None:
        """Start the child now instead of with the first request."""
        await self._live()

    async def stop(self) -> None:
        """End the child; nothing starts another, and nothing is left of it."""
        self._stopped = True
        if self._link is not None:
            self._link.end("the program stops")
            await asyncio.to_thread(self._link.scorer.wait_until_removed)

    @property
    def pid(self) -> int | None:
        """Process id of the live child."""
        return self._link.scorer.pid if self._link and self._link.is_alive else None

    @property
    def waiting(self) -> int:
        """Requests in flight to the live child."""
        return self._link.waiting if self._link else 0

    @property
    def loaded_bytes(self) -> dict[str, int]:
        """Loaded models → memory that each takes, about."""
        return self._link.sizes if self._link is not None and self._link.is_alive else {}

    async def ping(self) -> dict[str, Any]:
        """`memory_bytes` and the `models` that are loaded.

        Raises:
            Unavailable: no answer within two seconds, because it is busy or gone.
        """
        link = await self._live()
        asked = link.ask({"op": "ping"}, b"", seconds=self._seconds, what="A ping")
        try:
            return (await asyncio.wait_for(asked, 2))[0]
        except TimeoutError as exc:
            raise Unavailable("The scorer is busy.", retry_after=1) from exc

    async def load(self, model: ModelFile) -> Replay | None:
        """Have a model in memory. Many callers at once cause one load.

        Returns:
            how its recorded answers compare to those it gives here; None if none were recorded.

        Raises:
            ModelUnusable: it cannot be loaded here; the message says why.
            ModelUnhealthy: it answers otherwise here, and nobody tolerates that.
            Unavailable: the child ended while it loaded.
        """
        async with self._here_at_start(model):
            link = await self._live(model)
            replay = await self._loaded(link, model)
        self._make_room(link)
        return replay

    def predict(self, model: ModelFile, method: str, rows: Rows) -> asyncio.Future[Outcome]:
        """Call a method of a model, loading it first where needed. To be awaited.

        Raises:
            InputRejected: the model refuses these rows, for what stands in them.
            ScoringFailed: the model raised.
            ModelUnhealthy: as `load`.
            Unavailable: the child ended, or took too long.
        """
        if self._link is not None and self._is_hot(self._link, model):
            return self._sent(self._link, model, method, rows)
        return asyncio.ensure_future(self._cold(model, lambda link: self._sent(link, model, method, rows)))

    def call(self, model: ModelFile, described: dict[str, str], body: bytes) -> asyncio.Future[EntryAnswer]:
        """Have an entry script answer a request, loading its model first where needed. To be awaited.

        Args:
            described: `content_type`, `accept` and `verb` of the request.

        Raises:
            InvalidRequest, UnsupportedMediaType: the script refuses the request.
            ScoringFailed: the script raised.
            ModelUnhealthy, Unavailable: as `predict`.
        """
        if self._link is not None and self._is_hot(self._link, model):
            return self._asked_script(self._link, model, described, body)
        return asyncio.ensure_future(
            self._cold(model, lambda link: self._asked_script(link, model, described, body))
        )

    def _asked_script(
        self, link: Link, model: ModelFile, described: dict[str, str], body: bytes
    ) -> asyncio.Future[EntryAnswer]:
        assert model.entry is not None
        link.asked[model.key] = self._asked = time.monotonic()
        header = msgspec.json.encode(
            {"op": "predict", "model": model.key, "method": "run", "rows": described}
        )
        read = functools.partial(self._script_said, link, model.key, model.entry.script)
        what = f"{model.entry.script} of {model.key}"
        return link.send(header, body, read, seconds=self._seconds, what=what, model=model.key)

    def _script_said(
        self, link: Link, key: str, script: str, answer: dict[str, Any], data: bytes
    ) -> EntryAnswer:
        if not answer["ok"]:
            raise self._no_room(link, key, answer["error"]) or refused_by_script(answer["error"], key, script)
        return answer_to(answer, data)

    async def _cold(self, model: ModelFile, send: Callable[[Link], asyncio.Future[AnswerT]]) -> AnswerT:
        """Load first. Until the question is on its way, the model makes no room for others."""
        began = time.monotonic()
        self._wanted[model.key] += 1
        cold_seconds = None
        try:
            async with self._here_at_start(model):
                link = await self._live(model)
                while not self._is_loaded(link, model):
                    await self._loaded(link, model)
                    cold_seconds = time.monotonic() - began
            asked = send(link)
        finally:
            self._wanted[model.key] -= 1
            if not self._wanted[model.key]:
                del self._wanted[model.key]
        self._make_room(link)
        return (await asked)._replace(cold_seconds=cold_seconds)

    def _is_hot(self, link: Link, model: ModelFile) -> bool:
        """Whether a model is loaded and nothing speaks against asking it."""
        return link.is_alive and model.key not in self._ended and self._is_loaded(link, model)

    def _is_loaded(self, link: Link, model: ModelFile) -> bool:
        known = link.models.get(model.key)
        if known is None or not known.done() or known.cancelled() or known.exception() is not None:
            return False
        link.models.move_to_end(model.key)
        return _is_as_recorded(model, known.result())

    def _sent(self, link: Link, model: ModelFile, method: str, rows: Rows) -> asyncio.Future[Outcome]:
        what = f"{method} of {model.key}"
        link.asked[model.key] = self._asked = time.monotonic()
        read = functools.partial(self._outcome, link, model.key)
        header, payload = self._written(model, method, rows)
        return link.send(header, payload, read, seconds=self._seconds, what=what, model=model.key)

    def _outcome(self, link: Link, key: str, answer: dict[str, Any], data: bytes) -> Outcome:
        """What an answer says.

        Raises:
            InputRejected, ScoringFailed, Unavailable: it says that.
        """
        if not answer["ok"]:
            raise self._no_room(link, key, answer["error"]) or refused(answer["error"], key)
        return Outcome(predictions_in(answer, data), answer["seconds"])

    def _written(self, model: ModelFile, method: str, rows: Rows) -> tuple[bytes, bytes]:
        """Header and payload. The header of a matrix is the same every time, so that both sides know it."""
        header = {"op": "predict", "model": model.key, "method": method}
        if rows.raw is None:
            described = table(model.input_schema)
            return msgspec.json.encode({**header, "rows": described}), msgspec.json.encode(rows.columns)
        key = (model.key, method)
        if key not in self._headers:
            self._headers[key] = announced(header, model.input_schema, rows.dtype)
        return self._headers[key].of(rows), rows.raw

    @property
    def idle_seconds(self) -> float:
        """For how long nobody asked, of a child that is there; else 0."""
        return time.monotonic() - self._asked if self.pid is not None and not self.waiting else 0.0

    def rest(self) -> None:
        """End the child until somebody asks again."""
        if self._link is not None and not self.waiting:
            log.info("scorer_rests", interpreter=self._interpreter)
            self._link.end("nobody asked for long")

    def _here_at_start(self, model: ModelFile) -> contextlib.AbstractAsyncContextManager[None]:
        """The child of a script may read the files that are there when it starts, and no others."""
        return self._held(model) if self._program == process.ENTRY else contextlib.nullcontext()

    async def _live(self, model: ModelFile | None = None) -> Link:
        self._asked = time.monotonic()
        link = self._link
        if link is not None and link.is_alive:
            return link
        async with self._opening:
            if self._link is not None and self._link.is_alive:
                return self._link
            if self._stopped:
                raise Unavailable("Scoring is stopping.", retry_after=5)
            self._link = Link(self._start(model), self._blame)
            await self._link.open()
            await asyncio.to_thread(self._link.scorer.wait_until_started)
            self.starts += 1
            pid = self._link.scorer.pid
            log.info("scorer_started", pid=pid, interpreter=self._interpreter)
            self._warming = asyncio.create_task(_warm(self._link))
            return self._link

    def _start(self, model: ModelFile | None) -> process.ScorerProcess:
        script = model.entry.reads if model is not None and model.entry is not None else []
        return process.start(
            self._interpreter,
            self._memory_bytes,
            self._program,
            confinement=self._confinement,
            reads=[*self._reads, *script],
        )

    def _blame(self, model: str) -> None:
        """Remember which model ended a child: the one that was being worked on."""
        self._ended.setdefault(model, []).append(time.monotonic())

    def _no_room(self, link: Link, model: str, error: dict[str, Any]) -> FitqError | None:
        """For a child that reached its limit. The next begins without other models, and without what a loaded
        one has kept of its calls.
        """
        if error["type"] != "MemoryError" or not self._memory_bytes:
            return None
        link.full[model] += 1
        if len(link.models) > 1 or link.full[model] >= _FULL_TOO_OFTEN:
            asyncio.get_running_loop().call_soon(link.end, "its memory was full")
        return Unavailable(
            f"Model {model} needs more memory than its scorer may have ({format_bytes(self._memory_bytes)}).",
            hint="Send fewer rows, or raise FITQ_SCORER_MEMORY_BYTES where models are scored.",
            retry_after=5,
        )

    def _check_record(self, model: str) -> None:
        """Do not let one model end the child again and again under all others."""
        if model not in self._ended:
            return
        lately = [t for t in self._ended[model] if t > time.monotonic() - _BLAME_SECONDS]
        self._ended[model] = lately
        if len(lately) >= _BLAMED_TOO_OFTEN:
            raise ScoringFailed(
                f"Model {model} ended its process {len(lately)} times within a minute; it rests for a while.",
                hint="The scoring log has what it printed. Train and register it again.",
            )

    async def _loaded(self, link: Link, model: ModelFile) -> Replay | None:
        self._check_record(model.key)
        known = link.models.get(model.key)
        if known is None:
            known = link.models[model.key] = asyncio.ensure_future(self._load_into(link, model))
        link.models.move_to_end(model.key)
        if not known.done() or known.exception() is not None:
            await asyncio.shield(known)
        replay: Replay | None = known.result()
        if replay is not None and not _is_as_recorded(model, replay):
            raise unhealthy(model.key, replay)
        return replay

    async def _load_into(self, link: Link, model: ModelFile) -> Replay | None:
        try:
            async with self._held(model):
                return await self._asked_to_load(link, model)
        except FitqError:
            self.failed_loads += 1
            link.models.pop(model.key, None)
            link.sizes.pop(model.key, None)
            if self._program == process.ENTRY:  # it may be half done, and read only what was there before
                link.end("its script did not load")
            raise

    async def _asked_to_load(self, link: Link, model: ModelFile) -> Replay | None:
        header = {"op": "load", "model": model.key, **_what_to_load(model)}
        what = f"Loading {model.key}"
        began = time.perf_counter()
        answer, _ = await link.ask(header, b"", seconds=_LOAD_SECONDS, what=what)
        if not answer["ok"]:
            raise self._no_room(link, model.key, answer["error"]) or _why_unusable(answer["error"], model)
        log.info("model_loaded", model=model.key, seconds=round(time.perf_counter() - began, 3))
        serving = msgspec.convert(answer["versions"], type=Versions)
        replay = await self._replayed(link, model, serving) if model.golden else None
        link.sizes[model.key] = max(answer["memory_bytes"], model.path.stat().st_size)
        link.asked[model.key] = time.monotonic()
        self.loads += 1
        return replay

    async def _replayed(self, link: Link, model: ModelFile, serving: Versions) -> Replay:
        """Ask for the recorded answers again, before anybody else can ask for any."""
        golden = model.golden
        assert golden is not None
        answers: dict[str, Answer] = {}
        for method in golden.answers:
            header = {"op": "predict", "model": model.key, "method": method, "rows": golden.rows}
            what = f"Replaying {method} of {model.key}"
            answer, data = await link.ask(header, golden.payload, seconds=_LOAD_SECONDS, what=what)
            if not answer["ok"]:
                if no_room := self._no_room(link, model.key, answer["error"]):
                    raise no_room
                return _logged(model.key, failed(golden, method, cause(answer["error"]), serving))
            answers[method] = answer_of(answer, data)
        return _logged(model.key, compared(golden, answers, serving))

    def _make_room(self, link: Link) -> None:
        """Unload models until the others fit, those first that were not asked for the longest."""
        while len(link.sizes) > 1 and (
            len(link.sizes) > _MAX_MODELS or sum(link.sizes.values()) > self._models_bytes
        ):
            loaded = (k for k in link.models if k in link.sizes and k not in self._wanted)
            key = next(loaded, None)
            if key is None:
                return
            self._unload(link, key)
            self.evictions += 1

    def unload_idle(self, seconds: float, kept: Set[str]) -> None:
        """Unload models that nobody asked for in so long, except those that are kept. A script's child ends
        with its model."""
        link = self._link
        if link is None or not link.is_alive or self._program == process.ENTRY:
            return
        before = time.monotonic() - seconds
        idle = {key for key in link.sizes if link.asked[key] < before}
        for key in idle - self._wanted.keys() - kept:
            self._unload(link, key)

    def _unload(self, link: Link, key: str) -> None:
        """Nobody waits for that: the child does it after what it was asked before, and before what comes
        next."""
        del link.models[key], link.sizes[key], link.asked[key]
        log.info("model_unloaded", model=key)
        header = msgspec.json.encode({"op": "unload", "model": key})
        what = f"Unloading {key}"
        unloading = link.send(header, b"", _nothing, seconds=self._seconds, what=what, model=key)
        unloading.add_done_callback(lambda done: done.exception())  # where it ended, nothing is loaded


def _what_to_load(model: ModelFile) -> dict[str, Any]:
    if model.entry is not None:
        return load_header(model.entry)
    return {"path": str(model.path), "names": model.names}


def _why_unusable(error: dict[str, Any], model: ModelFile) -> ModelUnusable:
    if model.entry is not None:
        return why_script_fails(error, model.entry.script)
    return why_unusable(error, model.path)


def _nothing(_: dict[str, Any], __: bytes) -> None:
    """What an answer says that nobody waits for."""


async def _warm(link: Link) -> None:
    """Import what every model needs, so that the first request does not wait for that."""
    with contextlib.suppress(Unavailable):
        await link.ask({"op": "warm"}, b"", seconds=_LOAD_SECONDS, what="Starting")


def _is_as_recorded(model: ModelFile, replay: Replay | None) -> bool:
    """Whether it may answer: as it did when it was registered, or as an operator tolerates."""
    return replay is None or replay.difference is None or model.tolerated


def _logged(key: str, replay: Replay) -> Replay:
    if replay.difference is not None:
        log.error("model_answers_otherwise", model=key, difference=str(replay.difference))
    return replay


__all__ = ["ModelFile", "Outcome", "Scorer", "inspect_model"]
