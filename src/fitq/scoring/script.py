"""Scoring with a model that has an entry script: the body goes to the script as it came."""

from __future__ import annotations

from typing import Any

from fitq.errors import InvalidRequest, ModelUnhealthy, ModelUnusable
from fitq.records import EntryScript
from fitq.scorer.entry import EntryAnswer
from fitq.scoring.answers import Answer
from fitq.scoring.call import Call
from fitq.scoring.served import unusable_here
from fitq.scoring.target import Target

#: What a script is told of a query at most.
_QUERY_CHARACTERS = 8000


async def ask(call: Call) -> Answer:
    """What the script answers to this request.

    Raises:
        InvalidRequest, MethodNotAllowed, UnsupportedMediaType: the script refuses it.
        ScoringFailed: the script raised. Only this request fails.
        TooManyRequests: so many wait for the script already.
        ModelUnhealthy, Unavailable: it does not answer now.
    """
    assert call.target is not None
    served = call.target.served
    body = await call.body()
    call.rows = 1  # how many rows a body has is known to the script alone
    described = {
        "layout": "body",
        "content_type": call.header("content-type")[:200],
        "accept": call.header("accept")[:200],
        "verb": call.verb,
        "path": call.address,
        "query": call.raw_query[:_QUERY_CHARACTERS],
    }
    settings = call.service.settings
    try:
        async with served.turns.turn(served.record.id, settings.score_waiting, settings.score_seconds):
            answer: EntryAnswer = await served.scorer.call(served.file, described, body)
    except ModelUnusable as exc:  # it had to be loaded again, and that failed
        raise unusable_here(served.record, exc) from exc
    except ModelUnhealthy as exc:  # or it answered otherwise than before
        served.problem = exc
        raise
    call.target = call.target.waited(answer.cold_seconds)
    headers = [*call.target.headers(answer.seconds), *answer.headers]
    return Answer(answer.body, answer.status, answer.content_type, headers)


def refuse(target: Target, protocol: str) -> InvalidRequest:
    """For wire formats that are about columns or tensors, of which a script says nothing."""
    entry = target.served.record.entry
    assert entry is not None
    return InvalidRequest(
        f"Model {target.served.record.id} answers by its entry script {entry.script}, which takes a body as "
        f"it is; it does not speak {protocol}.",
        hint=f"Post the body to {target.path}.",
        at="URL",
        expected=target.path,
        got=protocol,
    )


def schemas(entry: EntryScript, answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its Swagger says of body and answer: what the decorators declare, or nothing in particular."""
    taken, given = dict(entry.input or {}), dict(entry.output or {})
    if entry.example is not None:
        taken["example"] = entry.example
    if answer is not None:
        given["example"] = answer
    return taken, given
