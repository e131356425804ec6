"""How one method of one model is called: request by request, or shared once that was seen to be right."""

from __future__ import annotations

import asyncio

from fitq.logs import get_logger
from fitq.schema import ArraySchema, Rows
from fitq.scorer.client import ModelFile, Outcome, Scorer
from fitq.scoring.alike import answers_alike
from fitq.scoring.batch import Batches

log = get_logger(__name__)


class Calls:
    """One method of one model.

    Whether requests may share its calls is found out right after its first answer: before that nothing is
    known of it, and the first caller need not wait for it.
    """

    def __init__(
        self, scorer: Scorer, model: ModelFile, method: str, schema: ArraySchema, batches: Batches
    ) -> None:
        self._scorer, self._model, self._method, self._schema = scorer, model, method, schema
        self._batches = batches
        self._is_alike: bool | None = None
        self._looking: asyncio.Task[None] | None = None

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
        if self._looking is None and not answer.cancelled() and answer.exception() is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            self._is_alike = await answers_alike(self._scorer, self._model, self._method, self._schema)
        except Exception:
            self._is_alike = False
            log.exception("batching_unknown", model=self._model.key, method=self._method)
