"""Batch what has arrived, never wait: rows of several requests share one call of a model's method.

scikit-learn's cost per call hardly depends on the number of rows. So while a call of a method runs in the
scorer, the rows that arrive for it gather, and the next call takes them all. There is no timer: a request
that is alone goes at once. Requests that arrive in the same turn of the event loop go together as well.

Only for methods that were seen to answer the same, bit for bit, for rows alone and together (`alike.py`).
"""

from __future__ import annotations

import asyncio
import functools
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
    arrived: float  #: by the clock of the event loop
    answer: asyncio.Future[Outcome]


class Batches:
    """The requests for one method of one model, answered batch after batch."""

    def __init__(self, scorer: Scorer, model: ModelFile, method: str, seconds: float) -> None:
        self._scorer = scorer
        self._model = model
        self._method = method
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Request] = deque()
        self._again: list[list[_Request]] = []  #: halves of a batch that failed
        self._is_running = False

    @property
    def waiting(self) -> int:
        """Requests that wait for the next call."""
        return len(self._waiting)

    def predict(self, rows: Rows) -> asyncio.Future[Outcome]:
        """The answer to these rows, as if they had come alone. A caller that gives up disturbs no other.

        Raises:
            InputRejected, ScoringFailed: when awaited, for these rows.
            Unavailable: too many wait already, it waited too long, or the scorer ended.
        """
        loop = self._loop
        request = _Request(rows, loop.time(), loop.create_future())
        if len(self._waiting) >= MAX_WAITING:
            _fail(
                [request], Unavailable(f"{MAX_WAITING} requests wait for this model already.", retry_after=1)
            )
            return request.answer
        self._waiting.append(request)
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._go)  # in the next turn of the loop, with all that arrive in this one
        return request.answer

    def _go(self) -> None:
        """Send the next batch off; `_answered` calls this again, until nobody waits."""
        batch = self._again.pop() if self._again else self._next(self._loop.time())
        self._is_running = bool(batch)
        if batch:
            rows = joined([request.rows for request in batch])
            call = asyncio.ensure_future(self._scorer.predict(self._model, self._method, rows))
            call.add_done_callback(functools.partial(self._answered, batch))

    def _next(self, now: float) -> list[_Request]:
        """Those who came first, as many as may share a call; without those who left or waited too long."""
        batch: list[_Request] = []
        size, oldest = 0, now - self._seconds
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

    def _answered(self, batch: list[_Request], call: asyncio.Future[Outcome]) -> None:
        """Give each its part of one shared answer; halve a batch that fails, until the fault stands alone."""
        try:
            whole = complete(call.result(), sum(r.rows.size for r in batch), self._model, self._method)
        except (ScoringFailed, InputRejected) as exc:
            if len(batch) == 1:
                _fail(batch, exc)
            else:
                middle = len(batch) // 2
                self._again += [batch[middle:], batch[:middle]]
        except FitqError as exc:
            _fail(batch, exc)
        except asyncio.CancelledError:
            _fail(batch, Unavailable("Scoring is stopping.", retry_after=5))
        except Exception:
            log.exception("batch_failed", model=self._model.key, method=self._method)
            _fail(batch, InternalError())
        else:
            _share(batch, whole)
        self._go()


def _share(batch: list[_Request], whole: Outcome) -> None:
    start = 0
    for request in batch:
        end = start + request.rows.size
        if not request.answer.done():
            request.answer.set_result(Outcome(whole.predictions[start:end], whole.seconds))
        start = end


def joined(parts: list[Rows]) -> Rows:
    """The rows of several requests for the same model, one after another."""
    first = parts[0]
    if len(parts) == 1:
        return first
    size = sum([p.size for p in parts])
    if first.raw is not None:
        return Rows(size, b"".join([p.raw or b"" for p in parts]), [], dtype=first.dtype)
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
    return complete(await scorer.predict(model, method, rows), rows.size, model, method)


def complete(outcome: Outcome, size: int, model: ModelFile, method: str) -> Outcome:
    """An outcome with one entry per row.

    Raises:
        ScoringFailed: the number of entries is another.
    """
    if _size(outcome.predictions) != size:
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
