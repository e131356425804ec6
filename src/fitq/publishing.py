"""Rules of training functions that are published as code: a folder in the object store, by its hash, and the
environment that its runs execute in.

Workers of the pool list the folder and take it over within seconds, without a new image or a restart. A run
carries the version it was submitted with, so it is executed with that code and in that environment whenever
its turn comes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.backend import Backend
from fitq.environment_names import asked_for
from fitq.errors import InvalidRequest, NotFound
from fitq.functions import on_its_way
from fitq.logs import get_logger
from fitq.names import check_name, did_you_mean
from fitq.records import (
    EnvironmentRecord,
    FunctionCode,
    FunctionRequest,
    FunctionVersion,
    from_kept_json,
    now,
    to_json,
)
from fitq.revisions import check_revision, revise, revision_of

log = get_logger(__name__)
_MOST_VERSIONS = 50


def publish(
    backend: Backend, name: str, request: FunctionRequest, *, expected: str | None = None
) -> FunctionCode:
    """Make a folder's function the one that new runs get.

    Raises:
        NotFound: the folder was not uploaded, or nobody knows the environment.
        Outdated: what is published has another revision than the expected one.
    """
    check_code(name, request)
    check_sent(backend, request)
    newest = FunctionVersion(
        snapshot=request.snapshot,
        published_at=now(),
        environment=environment_of(backend, name, request.environment),
    )

    def replaced(data: bytes | None) -> bytes:
        before = None if data is None else from_kept_json(data, FunctionCode)
        return to_json(_next(name, request, newest, before))

    key = backend.keys.function(name)
    data = revise(backend.objects, key, replaced, what=f"Function {name!r}", expected=expected)
    code = from_kept_json(data, FunctionCode)
    backend.state.put_published(_for_workers(code))
    log.info("function_published", function=name, pool=code.pool, version=newest.id)
    return code


def _next(
    name: str, request: FunctionRequest, newest: FunctionVersion, before: FunctionCode | None
) -> FunctionCode:
    others = [v for v in (before.versions if before else []) if v.id != newest.id]
    return FunctionCode(
        name=name,
        pool=request.pool,
        snapshot=request.snapshot,
        updated_at=newest.published_at,
        environment=request.environment,
        versions=[newest, *others][:_MOST_VERSIONS],
    )


def _for_workers(code: FunctionCode) -> FunctionCode:
    """Only the current version: every worker reads it every two seconds."""
    return msgspec.structs.replace(code, versions=code.versions[:1])


def environment_of(backend: Backend, name: str, asked: str | dict[str, Any] | None) -> EnvironmentRecord:
    """What a function's runs will execute in; a specification without a name is called after the function.

    Raises:
        InvalidRequest, NotFound: a specification that is wrong, a name that nobody knows.
    """
    return asked_for(backend, {"name": name, **asked} if isinstance(asked, dict) else asked)


def check_code(name: str, request: FunctionRequest) -> None:
    """Refuse what `publish` refuses, as far as it can be seen without the store."""
    check_name("function", name)
    check_name("pool", request.pool)
    check_name("snapshot", request.snapshot)
    if name == "run_script":
        raise InvalidRequest("'run_script' is how pools run submitted folders.", at="name")


def check_sent(backend: Backend, request: FunctionRequest) -> None:
    """Go on only if the folder was uploaded.

    Raises:
        NotFound: it was not.
    """
    if backend.objects.size(backend.keys.snapshot_files(request.snapshot)) is None:
        raise NotFound(
            f"There is no snapshot {request.snapshot}.", at="snapshot", hint="POST /v1/snapshots first."
        )


def kept_code(backend: Backend, name: str) -> tuple[FunctionCode | None, str]:
    """What is published under a name, if anything is, and its revision."""
    data = backend.objects.get(backend.keys.function(check_name("function", name)))
    return (None if data is None else from_kept_json(data, FunctionCode)), revision_of(data)


def find_code(backend: Backend, name: str) -> tuple[FunctionCode, str]:
    """As `kept_code`.

    Raises:
        NotFound: nothing is published under that name.
    """
    code, revision = kept_code(backend, name)
    if code is None:
        known = published(backend)
        raise NotFound(
            f"No function {name!r} is published. {did_you_mean(name, known)}".strip(),
            hint="Publish one: fitq apply -f FILE, with kind: Function and its folder.",
            functions=known,
        )
    return code, revision


def check_not_on_its_way(backend: Backend, name: str) -> None:
    """Tell a function that workers have yet to take over from one that nobody knows.

    Raises:
        Unavailable: it was published.
    """
    code = next((code for code in backend.state.list_published() if code.name == name), None)
    if code is not None:
        raise on_its_way(name, code.pool)


def published(backend: Backend) -> list[str]:
    """Names of all published functions."""
    prefix = backend.keys.published_functions()
    return [o.key[len(prefix) :].removesuffix(".json") for o in backend.objects.list(prefix)]


def withdraw(backend: Backend, name: str, *, expected: str | None = None) -> None:
    """Take a function back, if it is published. Its runs keep their code.

    Raises:
        Outdated: it has another revision than the expected one.
    """
    check_revision(f"Function {name!r}", kept_code(backend, name)[1], expected)
    backend.objects.delete(backend.keys.function(name))
    backend.state.drop_published(name)


def restore_published(backend: Backend) -> None:
    """Tell Redis again what the object store knows about published functions."""
    known = {code.name: code for code in backend.state.list_published()}
    for name in published(backend):
        code, _ = kept_code(backend, name)
        if code is not None and known.get(name) != _for_workers(code):
            backend.state.put_published(_for_workers(code))


def find_version(
    backend: Backend, name: str, snapshot: str, environment: EnvironmentRecord | None
) -> FunctionVersion:
    """The version of a function that has this code; the newest of them if no environment is named.

    Raises:
        InvalidRequest: it was never published so.
    """
    code, _ = kept_code(backend, name)
    versions = code.versions if code else []
    for version in versions:
        asked = environment or version.environment
        if version.snapshot == snapshot and version.environment.content == asked.content:
            return version
    same = any(version.snapshot == snapshot for version in versions)
    wanted = "in this environment" if same else f"with the snapshot {snapshot[:80]!r}"
    raise InvalidRequest(
        f"Function {name!r} was never published {wanted}.",
        at="environment" if same else "snapshot",
        hint="Leave it out to get the current code." if not same else "Leave it out to get the one it had.",
        versions=[version.snapshot for version in versions],
    )
