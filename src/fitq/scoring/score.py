"""The one generic scoring function: body → rows → predictions → body, for every model and wire format."""

from __future__ import annotations

from fitq.errors import InputRejected, InvalidRequest, ModelUnhealthy, ModelUnusable, TooLarge
from fitq.schema import Rows
from fitq.scorer.client import Outcome
from fitq.scoring import script
from fitq.scoring.answers import Answer
from fitq.scoring.bodies import read
from fitq.scoring.call import Call
from fitq.scoring.dialects import addresses
from fitq.scoring.dialects.form import JSON, Accepted, Dialect, Reply, Written
from fitq.scoring.door import Handler
from fitq.scoring.fault import at_its_row
from fitq.scoring.served import unusable_here
from fitq.scoring.target import Target
from fitq.wording import shown

#: What `Accept` usually says: nothing in particular.
_ANYTHING = {"", "*/*", JSON}


def scoring(accepted: Accepted, protocol: str = "") -> Handler:
    """A handler that takes these wire formats.

    Args:
        protocol: whose address this is, if it says more than where to post a body: no entry script speaks it.
    """

    async def handler(call: Call) -> Answer:
        assert call.target is not None
        served = call.target.served
        served.check()
        if served.record.entry is not None:
            if protocol:
                raise script.refuse(call.target, protocol)
            return await script.ask(call)
        dialect, asked = read(call, await call.body(), accepted)
        by_path = call.query("method") or None
        method = _method(by_path if asked.method is None else asked.method, call.target)
        call.rows = asked.rows.size
        if call.rows > call.service.settings.score_rows:
            raise _too_many(call.rows, call.service.settings.score_rows)
        outcome = await _predicted(call, method, asked.rows)
        call.target = call.target.waited(outcome.cold_seconds)
        reply = Reply(served.record, method, asked.body)
        written = _written(call.header("accept"), dialect, accepted, outcome, reply)
        headers = [*call.target.headers(outcome.seconds), *written.headers]
        return Answer(written.body, content_type=written.media_type, headers=headers)

    return handler


score = scoring(addresses.SCORE)
predict_v1 = scoring(addresses.KSERVE_V1, "KServe V1")
infer = scoring(addresses.OPEN_INFERENCE, "the Open Inference Protocol")
invocations = scoring(addresses.INVOCATIONS)


def _written(accept: str, dialect: Dialect, accepted: Accepted, outcome: Outcome, reply: Reply) -> Written:
    """The answer: in the dialect of the request, unless another form is asked for."""
    if accept not in _ANYTHING and dialect.as_table:
        for table in accepted.tables:
            if table.media_type in accept:
                return Written(table.write(outcome.predictions), table.media_type)
    return dialect.write(outcome.predictions, reply)


def _method(asked: object, target: Target) -> str:
    record = target.served.record
    method = asked if asked is not None else target.default_method
    if method in record.methods:
        return str(method)
    has = ", ".join(record.methods)
    got = repr(method[:100]) if isinstance(method, str) else shown(method)
    message = f"Model {record.name!r} has no method {got}. It has: {has}."
    raise InvalidRequest(message, at="$.method", expected=f"one of {has}", got=got)


def _too_many(rows: int, limit: int) -> TooLarge:
    message = f"The request has {rows} rows; at most {limit} are scored at once."
    return TooLarge(
        message, hint="Send several requests.", at="$", expected=f"at most {limit} rows", got=str(rows)
    )


async def _predicted(call: Call, method: str, rows: Rows) -> Outcome:
    assert call.target is not None
    served = call.target.served
    try:
        return await served.calls(method).predict(rows)
    except InputRejected as exc:
        raise await at_its_row(served.calls(method).predict, rows, exc) from exc
    except ModelUnusable as exc:  # it had to be loaded again, and that failed
        raise unusable_here(served.record, exc) from exc
    except ModelUnhealthy as exc:  # or it answered otherwise than before
        served.problem = exc
        raise
