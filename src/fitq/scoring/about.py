"""Everything about a served model that is not its predictions: metadata, Swagger, health."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any

import orjson

from fitq.errors import FitqError, ModelUnhealthy, Unavailable
from fitq.pinging import OK
from fitq.records import to_builtins
from fitq.scorer.entry import AS_JSON
from fitq.scoring.answers import Answer, to_json
from fitq.scoring.call import Call
from fitq.scoring.swagger import swagger
from fitq.scoring.target import Target


async def describe_model(call: Call) -> Answer:
    """Metadata, versions and health of a model."""
    target = _target(call)
    record, address = target.served.record, call.service.settings.scoring_url
    known = await asyncio.to_thread(call.service.catalog.summary, record.name)
    problem, latest = target.served.problem, call.service.latest(record)
    shown = ("name", "version", "created_at", "run", "experiment", "sha256", "size_bytes", "framework",
             "framework_version", "versions", "estimator", "methods", "default_method", "input_schema",
             "entry", "classes", "warnings", "tags", "description", "tolerated")  # fmt: skip
    fields = to_builtins(record)
    body = {name: fields[name] for name in shown} | {
        "id": record.id,
        "all_versions": known.versions,
        "aliases": known.aliases,
        "batching": target.served.batching,
        # each process has its own queue, scorer and counts
        "process": {"number": call.service.peers.number, "of": call.service.peers.count},
        "queue": {"waiting": target.served.waiting, "most": call.service.settings.score_waiting},
        "latency": latest.latency,
        "cold_starts": latest.cold_starts,
        "memory_bytes": target.served.memory_bytes,
        "environment": target.served.environment,
        "state": "Unhealthy" if problem else "Healthy",
        "problem": problem.message if problem else None,
        "hint": problem.hint if problem else "",
        "replay": replay_body(target),
        "scoring_uri": f"{address}{target.path}",
        "swagger_uri": f"{address}{target.path.removesuffix('/score')}/swagger.json",
        "curl": target.curl(address),
    }
    return Answer(to_json(body), headers=target.told)


def replay_body(target: Target) -> dict[str, Any]:
    """How the answers that were recorded at registration compare to those given here."""
    served = target.served
    if served.replay is not None:
        return served.replay.to_body()
    if isinstance(served.problem, ModelUnhealthy) and served.problem.data:
        return {"state": "different", **served.problem.data}
    return {"state": "not recorded" if not served.record.golden else "not asked"}


async def get_swagger(call: Call) -> Answer:
    """The Swagger of a model or endpoint; `?version=` is 2 (default), 3 or 3.1."""
    target, settings = _target(call), call.service.settings
    answers = await _example_answers(target)
    document = swagger(target, call.query("version", "2"), settings.scoring_url, answers, settings.score_rows)
    return Answer(to_json(document))


async def _example_answers(target: Target) -> dict[str, Any]:
    """Method → what it answers to the example rows, whichever can be had."""
    served = target.served
    if served.record.entry is not None:
        return {"run": await _script_answer(target)}
    if not served.schema.example or served.problem:
        return {}
    return {method: await _example_answer(target, method) for method in served.record.methods}


async def _example_answer(target: Target, method: str) -> Any:
    """What a method answers to the example rows; asked once per model."""
    served = target.served
    if method not in served.example_answers:
        rows = served.schema.check(served.schema.schema.example)
        outcome = await served.scorer.predict(served.file, method, rows)
        served.example_answers[method] = outcome.predictions
    return served.example_answers[method]


async def example_answer(target: Target) -> Any:
    """What the default method answers to the example rows, as JSON holds it."""
    served = target.served
    if not served.schema.example or served.problem:
        return []
    return orjson.loads(to_json(await _example_answer(target, target.default_method)))


async def _script_answer(target: Target) -> Any:
    """What an entry script answers to its example body; None if that is not known, or no JSON."""
    served, body = target.served, target.example_body
    if body is None or served.problem:
        return None
    if "run" not in served.example_answers:
        answer = await served.scorer.call(served.file, AS_JSON, to_json(body))
        is_json = answer.content_type.partition(";")[0] == AS_JSON["content_type"]
        served.example_answers["run"] = orjson.loads(answer.body) if is_json else None
    return served.example_answers["run"]


async def model_ready(call: Call) -> Answer:
    """KServe V1's `{"name", "ready"}`; also answers to MLflow's `/ping` and `/health`."""
    target = _target(call)
    name, problem = target.served.record.name, target.served.problem
    if problem is None:
        return Answer(to_json({"name": name, "ready": True}), headers=target.told)
    why = {"state": "Unhealthy", "message": problem.message, "error": problem.message, "hint": problem.hint}
    return Answer(to_json({**problem.data, **why, "name": name, "ready": False}), 503, headers=target.told)


async def version(call: Call) -> Answer:
    """The program's version, where clients of MLflow look for their server's."""
    text = importlib.metadata.version("fitq").encode()
    return Answer(text, content_type="text/plain; charset=utf-8", headers=_target(call).told)


async def healthy(_: Call) -> Answer:
    """Azure's health check."""
    return Answer(b"Healthy", content_type="text/plain; charset=utf-8")


async def healthz(_: Call) -> Answer:
    """This process answers."""
    return Answer(to_json({"status": "ok"}))


async def readyz(call: Call) -> Answer:
    """Ready: the scorer answers, so does the object store or at least some loaded model, what had to be
    loaded first is, and nobody told the program to end."""
    service = call.service
    state = await _state(call)
    ready = _is_ready(state, call)
    status = "ok" if ready else "stopping" if service.is_stopping() else "unavailable"
    body = {"status": status, **state, "models": len(service.models.loaded)}
    warm = {"warm": service.warming.states} if service.warming.states else {}
    return Answer(to_json({**body, **warm}), 200 if ready else 503)


async def is_ready(call: Call) -> bool:
    """What `/readyz` says, in one word."""
    return _is_ready(await _state(call), call)


def _is_ready(state: dict[str, str], call: Call) -> bool:
    can_load = state["objects"] == OK or bool(call.service.models.loaded)
    is_here = state["scorer"] == OK and can_load and call.service.warming.is_over
    return is_here and not call.service.is_stopping()


async def _state(call: Call) -> dict[str, str]:
    """What each part says: "ok", or what is wrong with it."""
    scorer, objects = await asyncio.gather(_scorer(call), call.service.objects_ping.said())
    return {"scorer": scorer, "objects": objects}


async def _scorer(call: Call) -> str:
    try:
        await call.service.scorer.ping()
    except Unavailable as exc:
        return exc.message
    except FitqError as exc:
        return str(exc)
    return OK


async def metrics(call: Call) -> Answer:
    """Of all processes at this port, in Prometheus' scrape format."""
    return _metrics(await call.service.peers.metrics(await _own(call)))


async def own_metrics(call: Call) -> Answer:
    """Of the process that answers."""
    return _metrics(await _own(call))


async def _own(call: Call) -> bytes:
    call.service.journal.tell()
    return await call.service.measures.text()


def _metrics(text: bytes) -> Answer:
    return Answer(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _target(call: Call) -> Target:
    assert call.target is not None
    return call.target
