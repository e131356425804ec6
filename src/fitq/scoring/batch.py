"""Batch what has arrived, never wait: rows of several requests share one call of a model's method.

scikit-learn's cost per call hardly depends on the number of rows. So while a model is being asked, the rows
that arrive for it gather, and the next call of a method takes all of that method. There is no timer: a
request that is alone goes at once. Requests that arrive in the same turn of the event loop go together too.

Only for methods that were seen to answer the same, bit for bit, for rows alone and together (`alike.py`);
the requests for others are calls of their own. Either way a model has few calls in its scorer at any time
and the rest waits here, so that a flood on one model delays another by those few calls and no more.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fitq.errors import FitqError, InputRejected, InternalError, ScoringFailed, TooManyRequests, Unavailable
from fitq.logs import get_logger
from fitq.schema import Rows
from fitq.scorer.client import ModelFile, Outcome, Scorer

log = get_logger(__name__)
#: Beyond this many rows sharing gains nothing; a larger request goes alone.
MAX_ROWS = 1024
#: Calls of one model that its scorer may have: one that many share, or as many for one request each, so that
#: the scorer has the next when it has answered one.
AT_ONCE = 4


class Limits(NamedTuple):
    """What a request may expect of a queue."""

    waiting: int = 512  #: requests that may wait for one model
    seconds: float = 60.0  #: that one may wait


class _Request(NamedTuple):
    rows: Rows
    shares: bool  #: its call with others
    arrived: float  #: by the clock of the event loop
    answer: asyncio.Future[Outcome]


class _Call(NamedTuple):
    method: str
    requests: list[_Request]

    @property
    def weight(self) -> int:
        """How much it takes of what a model may have in its scorer at once."""
        return AT_ONCE if self.requests[0].shares else 1


class Batches:
    """The requests for one model, answered call after call; its methods take turns."""

    def __init__(
        self,
        scorer: Scorer,
        model: ModelFile,
        limits: Limits,
        called: Callable[[int, int], None] = lambda _requests, _rows: None,
    ) -> None:
        """`called` is told of each call how many requests and rows it has."""
        self._scorer = scorer
        self._model = model
        self._limits = limits
        self._called = called
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, deque[_Request]] = {}  #: method → who waits; the one whose turn it is first
        self._again: list[_Call] = []  #: halves of one that failed
        self._weight = 0  #: of the calls in the scorer
        self._is_woken = False
        self.waiting = 0  #: requests that wait for their call

    def predict(self, method: str, rows: Rows, *, shares: bool) -> asyncio.Future[Outcome]:
        """The answer to these rows, as if they had come alone. A caller that gives up disturbs no other.

        Raises:
            InputRejected, ScoringFailed: when awaited, for these rows.
            TooManyRequests: too many wait for this model already.
            Unavailable: it waited too long, or the scorer ended.
        """
        loop = self._loop
        request = _Request(rows, shares, loop.time(), loop.create_future())
        if self.waiting >= self._limits.waiting and not self._has_room():
            request.answer.set_exception(self._full())
            return request.answer
        lane = self._lanes.get(method)
        if lane is None:
            lane = self._lanes[method] = deque()
        lane.append(request)
        self.waiting += 1
        if not self._is_woken and self._weight < AT_ONCE:
            self._is_woken = True
            loop.call_soon(self._go)  # in the next turn of the loop, with all that arrive in this one
        return request.answer

    def _go(self) -> None:
        """Send off what fits into the scorer; `_answered` calls this again, until nobody waits."""
        self._is_woken = False
        while self._weight < AT_ONCE and (call := self._again.pop() if self._again else self._taken()):
            self._weight += call.weight
            rows = joined([request.rows for request in call.requests])
            self._called(len(call.requests), rows.size)
            answer = asyncio.ensure_future(self._scorer.predict(self._model, call.method, rows))
            answer.add_done_callback(functools.partial(self._answered, call))

    def _taken(self) -> _Call | None:
        """The next call of the method whose turn it is; None if nobody waits, or it does not fit yet."""
        for method, lane in list(self._lanes.items()):
            if lane and lane[0].shares and self._weight:
                return None
            self._lanes[method] = self._lanes.pop(method)  # to the end of the row
            if requests := self._from(lane):
                return _Call(method, requests)
        return None

    def _from(self, lane: deque[_Request]) -> list[_Request]:
        """Those who came first, as many as may share a call; without those who left or waited too long."""
        taken: list[_Request] = []
        size, oldest = 0, self._loop.time() - self._limits.seconds
        while lane and (not taken or (lane[0].shares and size + lane[0].rows.size <= MAX_ROWS)):
            request = lane.popleft()
            self.waiting -= 1
            if request.answer.done():
                continue
            if request.arrived < oldest:
                request.answer.set_exception(self._late())
                continue
            taken.append(request)
            size += request.rows.size
            if not request.shares:
                break
        return taken

    def _answered(self, call: _Call, answer: asyncio.Future[Outcome]) -> None:
        """Give each its part of one shared answer; halve a call that fails, until the fault stands alone."""
        requests = call.requests
        self._weight -= call.weight
        try:
            whole = complete(answer.result(), sum(r.rows.size for r in requests), self._model, call.method)
        except (ScoringFailed, InputRejected) as exc:
            if len(requests) == 1:
                _fail(requests, exc)
            else:
                middle = len(requests) // 2
                self._again += [_Call(call.method, part) for part in (requests[middle:], requests[:middle])]
        except FitqError as exc:
            _fail(requests, exc)
        except asyncio.CancelledError:
            _fail(requests, Unavailable("Scoring is stopping.", reason="stopping", retry_after=5))
        except Exception:
            log.exception("batch_failed", model=self._model.key, method=call.method)
            _fail(requests, InternalError())
        else:
            _share(requests, whole)
        self._go()

    def _has_room(self) -> bool:
        """Whether somebody has left, whose place is then free."""
        for method, lane in self._lanes.items():
            self._lanes[method] = deque(request for request in lane if not request.answer.done())
        self.waiting = sum(map(len, self._lanes.values()))
        return self.waiting < self._limits.waiting

    def _full(self) -> TooManyRequests:
        oldest = min((lane[0].arrived for lane in self._lanes.values() if lane), default=self._loop.time())
        return TooManyRequests(
            f"{self._limits.waiting} requests wait for model {self._model.key} already.",
            hint="Send fewer at once, or several rows in one request.",
            reason="queue_full",
            # about as long as it takes those who wait now: so long the first of them has waited
            retry_after=max(1, min(30, math.ceil(self._loop.time() - oldest))),
        )

    def _late(self) -> Unavailable:
        message = f"The request waited for more than {self._limits.seconds:g} seconds and was not computed."
        return Unavailable(message, reason="waited_too_long", retry_after=1)


def _share(batch: list[_Request], whole: Outcome) -> None:
    start = 0
    for request in batch:
        end = start + request.rows.size
        if not request.answer.done():
            part = Outcome(whole.predictions[start:end], whole.seconds, whole.cold_seconds)
            request.answer.set_result(part)
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
