"""The one generic scoring function: body → rows → predictions → body, for every model and wire format."""

from __future__ import annotations

from fitq.errors import InputRejected, InvalidRequest, ModelUnhealthy, ModelUnusable, TooLarge
from fitq.schema import Rows, shown
from fitq.scorer.client import Outcome
from fitq.scoring import script
from fitq.scoring.answers import Answer, to_json
from fitq.scoring.bodies import Accepted, read
from fitq.scoring.call import Call, Handler
from fitq.scoring.dialects import azure, choose, csv_rows, kserve, mlflow, npy, oip, oip_binary, sagemaker
from fitq.scoring.dialects.form import Dialect, Reply
from fitq.scoring.fault import at_its_row
from fitq.scoring.models import unusable_here
from fitq.scoring.target import Target


def scoring(*dialects: Dialect, tables: Dialect | None = None, protocol: str = "") -> Handler:
    """A handler that takes these wire formats, and CSV and array files where `tables` says how to answer.

    Args:
        protocol: whose address this is, if it says more than where to post a body: no entry script speaks it.
    """
    accepted = Accepted(dialects, tables)

    async def handler(call: Call) -> Answer:
        assert call.target is not None
        served = call.target.served
        served.check()
        if served.record.entry is not None:
            if protocol:
                raise script.refuse(call.target, protocol)
            return await script.ask(call)
        asked = read(call, await call.body(), accepted)
        by_path = call.query("method") or None
        method = _method(by_path if asked.method is None else asked.method, call.target)
        call.rows = asked.rows.size
        if call.rows > call.service.settings.score_rows:
            raise _too_many(call.rows, call.service.settings.score_rows)
        outcome = await _predicted(call, method, asked.rows)
        call.target = call.target.waited(outcome.cold_seconds)
        reply = Reply(served.record, method, asked.body)
        kind, body, own = _written(call.header("accept"), asked.dialect, outcome, reply)
        return Answer(body, content_type=kind, headers=[*call.target.headers(outcome.seconds), *own])

    return handler


score = scoring(*choose.ALL, tables=azure.DIALECT)
predict_v1 = scoring(kserve.DIALECT, protocol="KServe V1")
invocations = scoring(*mlflow.DIALECTS, sagemaker.DIALECT, tables=mlflow.INSTANCES)
infer = scoring(oip.DIALECT, protocol="the Open Inference Protocol")


def _written(
    accept: str, dialect: Dialect, outcome: Outcome, reply: Reply
) -> tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]:
    """The answer, in which media type, and headers of its own: JSON, unless another form is asked for."""
    if dialect is oip.DIALECT:
        if oip_binary.is_wanted(reply.request):
            head, data = oip_binary.write(outcome.predictions, reply)
            return (
                oip_binary.MEDIA_TYPE,
                head + data,
                ((oip_binary.JSON_BYTES.encode(), str(len(head)).encode()),),
            )
    elif csv_rows.MEDIA_TYPE in accept:
        return csv_rows.MEDIA_TYPE, csv_rows.write(outcome.predictions), ()
    elif npy.MEDIA_TYPE in accept:
        return npy.MEDIA_TYPE, npy.write(outcome.predictions), ()
    return "application/json", to_json(dialect.write(outcome.predictions, reply)), ()


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
