"""Rules of what may become a run, and which: its function or script, its inputs, environment and secrets are
there, and each is settled for good. Nothing is written; that is `submission.py`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from fitq import data, offered_secrets, pools, publishing
from fitq.backend import Backend
from fitq.environment_names import asked_for
from fitq.errors import InvalidRequest, NotFound, Unavailable
from fitq.functions import check_parameters
from fitq.kept_snapshots import files_of_snapshot
from fitq.names import check_name, did_you_mean, new_run_id
from fitq.records import (
    FunctionRecord,
    JsonScalar,
    RunRecord,
    RunRequest,
    RunStatus,
    TimelineEntry,
    now,
    to_json,
)
from fitq.run_requests import check_request


def admit(backend: Backend, request: RunRequest) -> RunRecord:
    """The run that a request becomes, if it may become one.

    Raises:
        InvalidRequest, InvalidParameters, NotFound, Unavailable: as `submission.submit`.
    """
    check_request(request)
    return _plan_function(backend, request) if request.function else _plan_script(backend, request)


def _plan_function(backend: Backend, request: RunRequest) -> RunRecord:
    if request.arguments:
        raise InvalidRequest(
            "A function takes parameters, not arguments.",
            at="arguments",
            hint='Send {"parameters": {"penalty": 1.0}}.',
        )
    function = find_function(backend, request.function or "", request.pool)
    request = msgspec.structs.replace(request, secrets=[*function.secrets, *request.secrets])
    run = _record(backend, request, function.pool, check_parameters(function, request.parameters))
    asked = None if request.environment is None else run.environment
    if request.snapshot:  # a rerun keeps the version of the run that it repeats
        version = publishing.find_version(backend, function.name, request.snapshot, asked)
        return msgspec.structs.replace(run, environment=version.environment)
    if asked is not None and asked.content != function.environment.content:
        own = function.environment.name
        place = f"in environment {own!r}" if function.environment.asked else "with its worker's own packages"
        raise InvalidRequest(
            f"Function {function.name!r} runs {place}, not in another environment.",
            at="environment",
            hint="Publish it in that one: fitq apply -f FILE, with kind: Function, folder and environment.",
        )
    return msgspec.structs.replace(run, snapshot=function.snapshot or None, environment=function.environment)


def find_function(backend: Backend, name: str, pool: str | None = None) -> FunctionRecord:
    """The function a pool knows by that name; any pool's if none is given.

    Raises:
        NotFound: with near matches, or the pools that do know it.
        InvalidRequest: it is known, but its file does not import.
        Unavailable: no worker has said yet what it knows, or has taken over what was published.
    """
    published = pools.live_functions(backend)
    if not published and not backend.state.is_whole():
        raise Unavailable(
            "No worker has said yet which functions it knows.",
            hint="One that runs says so within seconds. A pool gets one so: "
            + backend.worker_for(pool or "default"),
        )
    known = [f for f in published if f.name != "run_script"]
    same = [f for f in known if f.name == name]
    found = next((f for f in same if pool in (None, f.pool)), None)
    if found is None and not same:
        publishing.check_not_on_its_way(backend, name)
    if found is None:
        elsewhere = f"It runs in pool {same[0].pool!r}." if same else ""
        raise NotFound(
            f"No worker{f' of pool {pool!r}' if pool else ''} knows a function {name!r}. "
            f"{elsewhere or did_you_mean(name, [f.name for f in known])}".strip(),
            hint="List them with: fitq functions list",
            functions=[f.name for f in known],
        )
    if found.error:
        raise InvalidRequest(
            f"Function {name!r} cannot run: {found.problem}",
            hint="Mend it; the workers take it over by themselves.",
        )
    return found


def _plan_script(backend: Backend, request: RunRequest) -> RunRecord:
    if request.parameters and request.command is not None:
        raise InvalidRequest(
            "A command takes no parameters.", at="parameters", hint="Write them into the command itself."
        )
    if not request.snapshot:
        raise InvalidRequest(
            "A script or command needs a snapshot.", at="snapshot", hint="POST /v1/snapshots first."
        )
    files = files_of_snapshot(backend, request.snapshot, at="snapshot")
    if request.script is not None:
        _check_script(request.script, files)
    return _record(backend, request, check_name("pool", request.pool or "default"), request.parameters)


def _check_script(script: str, files: list[str]) -> None:
    if script not in files:
        raise InvalidRequest(
            f"The snapshot has no file {script!r}. {did_you_mean(script, files)}".strip(),
            hint="Is it named in an ignore file, or misspelt? `files` lists what was sent.",
            at="script",
            files=files[:50],
        )


def _record(backend: Backend, request: RunRequest, pool: str, parameters: dict[str, JsonScalar]) -> RunRecord:
    created = now()
    stem = request.function or (request.script or "command").rsplit("/", 1)[-1].removesuffix(".py")
    asked = {field: getattr(request, field) for field in RunRequest.__struct_fields__}
    settled = {
        "pool": pool,
        "arguments": [str(a) for a in request.arguments],
        "parameters": parameters,
        "inputs": _pinned(backend, request.inputs),
        "secrets": offered_secrets.named(backend, pool, request.secrets),
        "environment": asked_for(backend, request.environment),
    }
    return RunRecord(
        **{**asked, **settled},
        id=new_run_id(stem),
        status=RunStatus.QUEUED,
        created_at=created,
        timeline=[_queued(backend, pool, created)],
        request_digest=hashlib.sha256(to_json(request)).hexdigest(),
    )


def _pinned(backend: Backend, inputs: dict[str, str]) -> dict[str, str]:
    """Each input with the version that its data has now: a run of today is the same run tomorrow."""
    for name in inputs:
        check_name("input", name)
    if len({name.upper() for name in inputs}) < len(inputs):
        raise InvalidRequest("Two inputs differ only in upper and lower case.", at="inputs")
    return {name: data.resolve(backend, given).id for name, given in inputs.items()}


def _queued(backend: Backend, pool: str, at: datetime) -> TimelineEntry:
    """The first step of a run; says so when nobody is there to take it."""
    attended = backend.attended.looked_up(
        pool, lambda: any(worker.pool == pool for worker in pools.live_workers(backend)) or None
    )
    reason = "" if attended else _no_worker(backend, pool)
    return TimelineEntry(status=RunStatus.QUEUED, at=at, attempt=0, reason=reason)


def _no_worker(backend: Backend, pool: str) -> str:
    settings = backend.state.list_pools().get(pool)
    if pool in backend.scaled_pools or (settings and (settings.max_workers or settings.min_workers)):
        return "waiting for a worker to start"
    return f"no worker in pool {pool}; it gets one so: {backend.worker_for(pool)}"
