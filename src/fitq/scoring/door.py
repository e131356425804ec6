"""The one way in which handlers are called.

`Door` is a plain ASGI endpoint: the requests and responses of Starlette cost a tenth of a fast prediction.
It finds the target, calls the handler, turns every error into the one body, and leaves one line in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from fitq.errors import FitqError, InternalError, MethodNotAllowed, Unavailable
from fitq.logs import get_logger
from fitq.scoring.answers import Answer, error_answer, send_answer
from fitq.scoring.call import PATIENCE, Call
from fitq.scoring.journal import Answered
from fitq.scoring.target import reading

log = get_logger(__name__)
_KNOWN_DOORS = 10_000

Handler = Callable[[Call], Awaitable[Answer]]
Locator = Callable[[Call], Awaitable[None]]


class Door:
    """An ASGI endpoint around a handler."""

    def __init__(
        self,
        handler: Handler,
        *,
        locate: Locator | None = None,
        verbs: str = "GET HEAD",
        of_scripts: str = "",
    ) -> None:
        """`of_scripts` are verbs that it takes besides for models with an entry script."""
        self._handler = handler
        self._locate = locate
        self._verbs, self._of_scripts = verbs.split(), of_scripts.split()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        call = Call(scope, receive)
        reason = ""
        try:
            answer = await (self._answer(call) if call.is_patient else self._in_time(call))
        except FitqError as exc:
            answer, reason = refusal(call, exc), exc.data.get("reason", exc.code)
        except Exception:
            log.exception("request_failed", request_id=call.request_id, path=scope["path"])
            answer, reason = refusal(call, InternalError()), InternalError.code
        await send_answer(scope, send, call.request_id, answer)
        if self._locate is not None:
            _remember(call, answer.status, began, reason)
            if call.rows and call.address not in call.service.doors:
                self._stay_known(call)

    def _stay_known(self, call: Call) -> None:
        """Spare the router the next request to this address, of which a model has a handful."""
        if len(call.service.doors) >= _KNOWN_DOORS:
            call.service.doors.clear()
        call.service.doors[call.address] = (self, call.path)

    async def _in_time(self, call: Call) -> Answer:
        """The answer, if it is there before the caller's own limit; else whatever still waits is dropped."""
        try:
            return await asyncio.wait_for(self._answer(call), call.patience_seconds)
        except TimeoutError as exc:
            raise Unavailable(
                f"There was no answer within the {call.header(PATIENCE)} ms that the request allows.",
                hint=f"Try again, or allow more in the header {PATIENCE}.",
                reason="deadline_passed",
                retry_after=1,
            ) from exc

    async def _answer(self, call: Call) -> Answer:
        if call.verb == "OPTIONS":
            return Answer(b"", 200, headers=[(b"allow", ", ".join(self._verbs).encode())])
        if self._locate is not None:
            await self._locate(call)
        call.check_request_id()
        call.check_patience()
        if call.verb not in self._verbs and not (call.is_for_script and call.verb in self._of_scripts):
            raise MethodNotAllowed(
                "Method not allowed", at="HTTP method", expected=" or ".join(self._verbs), got=call.verb,
                allow=self._verbs,
            )  # fmt: skip
        return await self._handler(call)


def refusal(call: Call, exc: FitqError) -> Answer:
    """An error as an answer: the one body, with what the target can add for whoever has to mend it."""
    if 400 <= exc.status < 500:
        url = call.service.settings.scoring_url
        known = call.target.help(url) if call.target else {"curl": reading(f"{url}{call.address}")}
        for name, value in known.items():
            exc.data.setdefault(name, value)
    if call.address.startswith("/v2"):
        exc.data["error"] = exc.message  # where clients of the Open Inference Protocol look
    answer = error_answer(exc, call.request_id)
    return answer._replace(headers=[*answer.headers, *call.target.told]) if call.target else answer


def _remember(call: Call, status: int, began: float, reason: str) -> None:
    target = call.target
    name, version = (target.served.record.name, target.served.record.version) if target else ("", 0)
    cold_seconds = target.cold_seconds if target else None
    ended = time.perf_counter()
    call.service.journal.remember(
        Answered(call.request_id, name, version, call.rows, status, began, ended, reason, cold_seconds)
    )
