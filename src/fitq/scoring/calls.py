"""How one method of one model is called: request by request, or in batches once that was seen to be right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from fitq.logs import get_logger
from fitq.schema import ArraySchema, Rows
from fitq.scorer.client import ModelFile, Outcome, Scorer
from fitq.scoring.alike import answers_alike
from fitq.scoring.batch import Batches, call

log = get_logger(__name__)


class Calls:
    """One method of one model.

    Whether it may be batched is found out right after its first answer: before that nothing is known of it,
    and the first caller need not wait for it.
    """

    def __init__(
        self, scorer: Scorer, model: ModelFile, method: str, schema: ArraySchema, seconds: float
    ) -> None:
        self._scorer, self._model, self._method, self._schema = scorer, model, method, schema
        self._batches = Batches(scorer, model, method, seconds)
        self._is_alike: bool | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def batching(self) -> str:
        """`shared`, `alone`, or `unknown` before the first answer."""
        return {None: "unknown", True: "shared", False: "alone"}[self._is_alike]

    def predict(self, rows: Rows) -> Awaitable[Outcome]:
        """The answer to these rows.

        Raises:
            InputRejected, ScoringFailed, Unavailable, ModelUnusable.
        """
        return self._batches.predict(rows) if self._is_alike else self._alone(rows)

    async def _alone(self, rows: Rows) -> Outcome:
        outcome = await call(self._scorer, self._model, self._method, rows)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return outcome

    async def _look(self) -> None:
        try:
            self._is_alike = await answers_alike(self._scorer, self._model, self._method, self._schema)
        except Exception:
            self._is_alike = False
            log.exception("batching_unknown", model=self._model.key, method=self._method)
