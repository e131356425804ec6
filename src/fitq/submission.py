"""Rules of submitting: what may become a run, and the three writes that accept one.

The object store is written first (`open/<run>.json` is what "accepted" means), then Redis, then the
queue. Whatever is missing after a crash in between is made up for by the scheduler.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import BinaryIO

import msgspec

from fitq import data, offered_secrets, pools, publishing, runs
from fitq.backend import Backend
from fitq.environment_names import asked_for
from fitq.errors import Conflict, InvalidRequest, NotFound, Unavailable
from fitq.functions import check_parameters
from fitq.logs import get_logger
from fitq.names import INPUT_REFERENCE, check_name, did_you_mean, new_run_id
from fitq.records import (
    FunctionRecord,
    JsonScalar,
    RunRecord,
    RunRequest,
    RunStatus,
    TimelineEntry,
    from_json,
    now,
    to_json,
)
from fitq.snapshots import read_members
from fitq.units import format_bytes

#: Of the variables that the platform sets, those that a run may set for itself.
_RUNS_OWN_CHOICE = ("FITQ_CAPTURE",)

log = get_logger(__name__)
#: How long a repeated Idempotency-Key finds its run.
IDEMPOTENCY_SECONDS = 24 * 3600
#: Linux starts no process with a longer argument or variable (MAX_ARG_STRLEN); all of a kind together are
#: held to it, because they are also repeated in SM_… variables.
_WORDS_BYTES = 100 * 1024


def keep_snapshot(backend: Backend, source: BinaryIO, *, max_bytes: int, max_files: int) -> str:
    """Check and keep a snapshot; returns its id, the SHA-256 of its bytes.

    Raises:
        UnsafeSnapshot, TooLarge: nothing is kept.
    """
    digest, size = hashlib.sha256(), 0
    while piece := source.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    sha256 = digest.hexdigest()
    if _files_of(backend, sha256) is not None:  # the same bytes were sent before
        return sha256
    source.seek(0)
    files = [m.path for m in read_members(source, max_bytes=max_bytes, max_files=max_files)]
    source.seek(0)
    backend.objects.put(backend.keys.snapshot(sha256), source, size)
    # Written last: a snapshot exists once its list of files does.
    backend.objects.put(backend.keys.snapshot_files(sha256), msgspec.json.encode(files))
    return sha256


def _files_of(backend: Backend, snapshot: str) -> bytes | None:
    key = backend.keys.snapshot_files(snapshot)
    return backend.listed.looked_up(snapshot, lambda: backend.objects.get(key))


def files_of_snapshot(backend: Backend, snapshot: str, *, at: str) -> list[str]:
    """The paths in a kept snapshot; `at` is where a request names it.

    Raises:
        InvalidRequest: that is no snapshot's id.
        NotFound: it was never sent.
    """
    listed = _files_of(backend, check_name("snapshot", snapshot))
    if listed is None:
        raise NotFound(f"There is no snapshot {snapshot}.", hint="POST /v1/snapshots first.", at=at)
    return msgspec.json.decode(listed, type=list[str])


def submit(backend: Backend, request: RunRequest, *, idempotency_key: str | None = None) -> RunRecord:
    """Accept a run: in the object store, then in Redis, then on its pool's queue.

    The same idempotency key gives the same run, however often it is sent.

    Raises:
        InvalidRequest, InvalidParameters: the request is wrong; nothing was kept.
        NotFound: no pool knows the function, or the snapshot is not here.
        Conflict: the key was used for another request.
        Unavailable: a store is away; nothing was accepted.
    """
    run = _planned(backend, request)
    if idempotency_key:
        run = _named_by_key(backend, run, _digest(idempotency_key.encode()))
        if known := _accepted_before(backend, run):
            return known
    run = _accept(backend, run)
    log.info("run_submitted", run_id=run.id, pool=run.pool, actor=run.actor)
    return run


def _named_by_key(backend: Backend, run: RunRecord, digest: str) -> RunRecord:
    """The run under the id that its key was first used for; one that the key decides, if it is new.

    So the same request gets the same id also when Redis lost what it remembered of keys.
    """
    stem = run.id.rpartition("-")[0]
    first = backend.state.remember_once(digest, new_run_id(stem, bytes.fromhex(digest)), IDEMPOTENCY_SECONDS)
    return msgspec.structs.replace(run, id=first, idempotency=digest)


def _accepted_before(backend: Backend, run: RunRecord) -> RunRecord | None:
    """The run that an earlier request with the same key made.

    Raises:
        Conflict: that was another request.
    """
    known = backend.state.get_run(run.id)
    if known is None and not backend.state.is_whole():  # it may have ended before Redis lost its data
        known = runs.kept(backend, run.id)
    if known is None:
        return None
    if known.request_digest != run.request_digest:
        raise Conflict(
            f"This Idempotency-Key was already used for run {run.id!r} with another request.",
            hint="Use a new key for a new run.",
            run=run.id,
        )
    if not known.status.is_final:  # a request that was answered 503 took its marker back
        backend.objects.put_if_absent(backend.keys.open_run(run.id), to_json(run))
    return known


def _accept(backend: Backend, run: RunRecord) -> RunRecord:
    """Make the three writes; what comes back is the run that is there."""
    key = backend.keys.open_run(run.id)
    is_new = backend.objects.put_if_absent(key, to_json(run))
    if not is_new and not run.idempotency:  # another run has that id, by chance
        return _accept(backend, msgspec.structs.replace(run, id=new_run_id(run.id.rpartition("-")[0])))
    if not is_new:  # the same request was accepted before
        run = from_json(backend.objects.get(key) or to_json(run), RunRecord)
    try:
        if not backend.state.add_run(run) and (ended := _ended_meanwhile(backend, run)):
            return ended
    except Unavailable:
        # Redis went away in between: the caller hears 503, so the run should not exist.
        if is_new:
            _try_delete(backend, key)
        raise
    try:
        backend.queue.send(pool=run.pool, actor=run.actor, run_id=run.id)
    except Unavailable as exc:
        # Both stores have it, so it will run: the scheduler sends what no message speaks of.
        log.warning("message_not_sent", run_id=run.id, error=exc.message)
    return run


def _ended_meanwhile(backend: Backend, run: RunRecord) -> RunRecord | None:
    """The run, if a request that came before this one made it and it is over already."""
    known = backend.state.get_run(run.id)
    if known is None or not known.status.is_final:
        return None
    _try_delete(backend, backend.keys.open_run(run.id))  # written by this request, after its end
    return known


def _try_delete(backend: Backend, key: str) -> None:
    try:
        backend.objects.delete(key)
    except Unavailable:
        log.warning("open_run_left_behind", key=key)


def _planned(backend: Backend, request: RunRequest) -> RunRecord:
    check_name("experiment", request.experiment)
    kinds = [k for k in ("function", "script", "command") if getattr(request, k) is not None]
    if len(kinds) != 1:
        raise InvalidRequest(
            f"A run needs exactly one of function, script or command; this has {kinds or 'none'}.",
            at="function",
            hint='Send {"function": "iris"} or {"snapshot": "…", "script": "train.py"}.',
        )
    _check_limits(request)
    for registration in request.register:
        check_name("model", registration.name)
    return _plan_function(backend, request) if request.function else _plan_script(backend, request)


def _check_limits(request: RunRequest) -> None:
    if request.timeout_seconds is not None and not request.timeout_seconds > 0:
        raise InvalidRequest("timeout_seconds must be more than 0.", at="timeout_seconds")
    if not 1 <= request.max_attempts <= 100:
        raise InvalidRequest("max_attempts must be 1 to 100.", at="max_attempts")
    for name in ("cpus", "memory_bytes"):
        asked = getattr(request.resources, name)
        if asked is not None and not asked > 0:
            raise InvalidRequest(f"{name} must be more than 0.", at=f"resources.{name}", got=asked)
    for name in request.environment_variables:
        if "=" in name or not name:
            raise InvalidRequest(f"{name!r} is not an environment variable.", at="environment_variables")
        if name.startswith("FITQ_") and name not in _RUNS_OWN_CHOICE:
            raise InvalidRequest(
                f"{name} is set by the platform.", at="environment_variables", hint="Use another name."
            )
    _check_words(request)
    _check_references(request)
    offered_secrets.check_names(request.secrets, request.environment_variables)


def _check_references(request: RunRequest) -> None:
    """`${{inputs.<name>}}` must name an input: an empty path would be found out hours later."""
    words = [request.command or "", *map(str, request.arguments)]
    named = [name for word in words for name in INPUT_REFERENCE.findall(word)]
    for name in named:
        if name not in request.inputs:
            known = did_you_mean(name, request.inputs)
            raise InvalidRequest(
                f"There is no input {name!r}. {known}".strip(),
                at="arguments",
                hint=f'Add "inputs": {{"{name}": "DATA:VERSION"}}, or --input {name}=DATA.',
            )


def _check_words(request: RunRequest) -> None:
    """What the run's process is started with must be something that a process can be started with."""
    variables = [f"{name}={value}" for name, value in request.environment_variables.items()]
    given = {
        "arguments": [str(a) for a in request.arguments],
        "command": [request.command or ""],
        "parameters": [f"--{k} {v}" for k, v in request.parameters.items()] if request.script else [],
        "environment_variables": variables,
    }
    for at, words in given.items():
        if any("\0" in word for word in words):
            raise InvalidRequest(f"{at} cannot hold a NUL character.", at=at)
        if sum(len(word.encode()) for word in words) > _WORDS_BYTES:
            raise InvalidRequest(
                f"{at} may have {format_bytes(_WORDS_BYTES)} in all.",
                at=at,
                hint="Put what is longer into a file of the snapshot.",
            )


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
        request_digest=_digest(to_json(request)),
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


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
