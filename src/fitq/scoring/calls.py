"""How one method of one model is called: request by request, or shared once that was seen to be right."""

from __future__ import annotations

import asyncio
import time

from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.schema import ArraySchema, Rows
from fitq.scorer.client import ModelFile, Outcome, Scorer
from fitq.scoring.alike import answers_alike
from fitq.scoring.batch import Batches

log = get_logger(__name__)
#: A model that ends its scorer three times within a minute rests; what is only tried has no part in that.
_PAUSE_SECONDS = 60.0


class Calls:
    """One method of one model.

    Whether requests may share its calls is found out right after its first answer: before that nothing is
    known of it, and the first caller need not wait for it. If the scorer ends meanwhile, it is tried again
    after the next answer, and from then on not more often than a model may end its scorer.
    """

    def __init__(
        self, scorer: Scorer, model: ModelFile, method: str, schema: ArraySchema, batches: Batches
    ) -> None:
        self._scorer, self._model, self._method, self._schema = scorer, model, method, schema
        self._batches = batches
        self._is_alike: bool | None = None
        self._looking: asyncio.Task[None] | None = None
        self._pause_seconds = 0.0
        self._look_after = 0.0  #: on the monotonic clock

    @property
    def batching(self) -> str:
        """`shared`, `alone`, or `unknown` before the first answer."""
        return {None: "unknown", True: "shared", False: "alone"}[self._is_alike]

    def predict(self, rows: Rows) -> asyncio.Future[Outcome]:
        """The answer to these rows.

        Raises:
            InputRejected, ScoringFailed, TooManyRequests, Unavailable, ModelUnusable.
        """
        answer = self._batches.predict(self._method, rows, shares=self._is_alike is True)
        if self._looking is None:
            answer.add_done_callback(self._begin_to_look)
        return answer

    def _begin_to_look(self, answer: asyncio.Future[Outcome]) -> None:
        is_time = self._looking is None and time.monotonic() >= self._look_after
        if is_time and not answer.cancelled() and answer.exception() is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            self._is_alike = await answers_alike(self._scorer, self._model, self._method, self._schema)
        except Unavailable:
            self._looking = None
            self._look_after = time.monotonic() + self._pause_seconds
            self._pause_seconds = _PAUSE_SECONDS
        except Exception:
            self._is_alike = False
            log.exception("batching_unknown", model=self._model.key, method=self._method)
