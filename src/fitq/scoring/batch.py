"""Batch what has arrived, never wait: rows of several requests share one call of a model's method.

scikit-learn's cost per call hardly depends on the number of rows. So while a call of a method runs in the
scorer, the rows that arrive for it gather, and the next call takes them all. There is no timer: a request
that is alone goes at once. Requests that arrive in the same turn of the event loop go together as well.

Only for methods that were seen to answer the same, bit for bit, for rows alone and together (`alike.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import NamedTuple

import numpy as np

from fitq.errors import FitqError, InputRejected, InternalError, ScoringFailed, Unavailable
from fitq.logs import get_logger
from fitq.schema import Rows
from fitq.scorer.client import ModelFile, Outcome, Scorer

log = get_logger(__name__)
#: Requests that may wait for one method of one model; more would only grow delays.
MAX_WAITING = 512
#: Beyond this many rows sharing gains nothing; a larger request goes alone.
MAX_ROWS = 1024


class _Request(NamedTuple):
    rows: Rows
    arrived: float  #: on the monotonic clock
    answer: asyncio.Future[Outcome]


class Batches:
    """The requests for one method of one model, answered batch after batch."""

    def __init__(self, scorer: Scorer, model: ModelFile, method: str, seconds: float) -> None:
        self._scorer = scorer
        self._model = model
        self._method = method
        self._seconds = seconds
        self._waiting: deque[_Request] = deque()
        self._running: asyncio.Task[None] | None = None

    async def predict(self, rows: Rows) -> Outcome:
        """The answer to these rows, as if they had come alone. A caller that gives up disturbs no other.

        Raises:
            InputRejected, ScoringFailed: for these rows.
            Unavailable: too many wait already, it waited too long, or the scorer ended.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable(f"{MAX_WAITING} requests wait for this model already.", retry_after=1)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(rows, time.monotonic(), answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())  # begins in the next turn of the loop
        return await answer

    async def _run(self) -> None:
        """Answer until nobody waits."""
        try:
            while batch := self._next():
                await self._answer(batch)
        finally:
            self._running = None

    def _next(self) -> list[_Request]:
        """Those who came first, as many as may share a call; without those who left or waited too long."""
        batch: list[_Request] = []
        size, oldest = 0, time.monotonic() - self._seconds
        while self._waiting and (not batch or size + self._waiting[0].rows.size <= MAX_ROWS):
            request = self._waiting.popleft()
            if request.answer.done():
                continue
            if request.arrived < oldest:
                message = f"The request waited for more than {self._seconds:g} seconds."
                request.answer.set_exception(Unavailable(message, retry_after=1))
                continue
            batch.append(request)
            size += request.rows.size
        return batch

    async def _answer(self, batch: list[_Request]) -> None:
        """Give each its part of one shared answer; halve a batch that fails, until the fault stands alone."""
        try:
            whole = await call(self._scorer, self._model, self._method, joined([r.rows for r in batch]))
        except (ScoringFailed, InputRejected) as exc:
            if len(batch) == 1:
                _fail(batch, exc)
                return
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
        except FitqError as exc:
            _fail(batch, exc)
        except Exception:
            log.exception("batch_failed", model=self._model.key, method=self._method)
            _fail(batch, InternalError())
        else:
            start = 0
            for request in batch:
                end = start + request.rows.size
                if not request.answer.done():
                    request.answer.set_result(whole._replace(predictions=whole.predictions[start:end]))
                start = end


def joined(parts: list[Rows]) -> Rows:
    """The rows of several requests for the same model, one after another."""
    if len(parts) == 1:
        return parts[0]
    size = sum(p.size for p in parts)
    matrices = [p.matrix for p in parts if p.matrix is not None]
    if matrices:
        return Rows(size, np.concatenate(matrices), [])
    columns = [
        [v for values in column for v in values] for column in zip(*(p.columns for p in parts), strict=True)
    ]
    return Rows(size, None, columns)


async def call(scorer: Scorer, model: ModelFile, method: str, rows: Rows) -> Outcome:
    """What the method answers, one entry per row.

    Raises:
        ScoringFailed: also when the number of entries is another.
        InputRejected, Unavailable, ModelUnusable: as `Scorer.predict`.
    """
    outcome = await scorer.predict(model, method, rows)
    if _size(outcome.predictions) != rows.size:
        raise ScoringFailed(
            "An unexpected error occurred in scoring script. Check the logs for more info.",
            hint=f"{method} of model {model.key} does not answer one entry per row.",
        )
    return outcome


def _size(predictions: object) -> int:
    if isinstance(predictions, np.ndarray):
        return predictions.shape[0] if predictions.ndim else -1
    return len(predictions) if isinstance(predictions, list) else -1


def _fail(batch: list[_Request], exc: FitqError) -> None:
    """An error of its own for each: what helps to mend it is added per request."""
    for request in batch:
        if not request.answer.done():
            request.answer.set_exception(type(exc)(exc.message, hint=exc.hint, **exc.data))
