"""One version of a model, as requests find it: whether it answers, where, and by which queue."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitq.errors import ModelUnhealthy, ModelUnusable, ScoringFailed
from fitq.records import InputSchema, ModelRecord
from fitq.schema import ArraySchema
from fitq.scorer.client import ModelFile, Scorer
from fitq.scorer.golden import Replay
from fitq.scoring.batch import Batches
from fitq.scoring.calls import Calls
from fitq.scoring.dialects.form import Dialect, QuickReader
from fitq.scoring.turns import Turns

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


def unusable_here(record: ModelRecord, exc: ModelUnusable) -> ScoringFailed:
    """Nothing a caller can mend: the model was registered, and does not load where it is served."""
    return ScoringFailed(
        f"Model {record.id} cannot be loaded: {exc.message}",
        hint=exc.hint or f"It was registered with {record.versions.packages or 'unknown versions'}.",
        **exc.data,
    )
