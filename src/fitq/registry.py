"""Rules of models: how they come to be and change. Reading them is `store.catalog`."""

from __future__ import annotations

import hashlib
import re
import secrets
import tempfile
from collections.abc import Collection
from pathlib import Path

import msgspec

from fitq import environment_names
from fitq.backend import Backend
from fitq.captured import fit_beside, with_captured_rows
from fitq.drafts import publish
from fitq.environments.builder import Environments
from fitq.errors import InvalidRequest
from fitq.made import maker_of
from fitq.model_inspection import Look, facts_of, judged
from fitq.model_sources import Source, from_model, from_run, opened, sha256_of
from fitq.names import check_name
from fitq.provenance import OWN, Provenance, provenance
from fitq.records import ModelRecord, RegisterRequest, Registration, RunRecord, now, to_json
from fitq.scorer.confinement import NOT_CONFINED, Confinement
from fitq.scorer.facts import ModelFacts

_FRAMEWORKS = ("Custom", "TensorFlow", "ScikitLearn", "Onnx", "TfKeras", "PyTorch", "Multi")


def register(
    backend: Backend,
    request: RegisterRequest,
    *,
    upload: Path | None = None,
    upload_name: str = "",
    environments: Environments | None = None,
    allowed: Collection[str] = (),
    memory_bytes: int = 0,
    confinement: Confinement = NOT_CONFINED,
) -> ModelRecord:
    """Make a run's artifact, an uploaded file, or the file of a model the next version of a model.

    The file is loaded once by a child process, in the environment it was made in, which tells its input
    schema; a file that does not load is refused. The model is served from the moment this returns.

    Args:
        environments: those of this machine; None: everything is loaded in this program's own.
        allowed: names that an uploaded file may import besides the usual ones.
        memory_bytes: that looking into the file may take; 0 for any amount.
        confinement: of the process that does so.

    Raises:
        InvalidRequest: not exactly one of run, file and model; a wrong name, framework or entry script.
        NotFound: the run has no such file; `files` lists what it has. Or there is no such model.
        Conflict: the run has not ended.
        ModelUnusable: the file cannot be loaded, and why.
        Unavailable: a store is away, or no process can be confined to load it.
    """
    check_name("model", request.name)
    _check_framework(request)
    if [request.run is None, request.model is None, upload is None].count(False) != 1:
        raise InvalidRequest(
            "A model comes from a run, from an uploaded file, or from another model: give one of them.",
            at="run",
            hint='Send {"name", "run", "path"}, {"name", "model"}, or multipart with metadata and file.',
        )
    request = _with_environment(backend, request)
    with tempfile.TemporaryDirectory(prefix="fitq-register-") as folder:
        if upload is not None:
            sha256 = sha256_of(upload)
            source = Source(upload, upload_name or upload.name, sha256, maker_of(backend, sha256))
        elif request.model is not None:
            source, request = from_model(backend, request, Path(folder))
        else:
            source = from_run(backend, request, Path(folder))
            request = with_captured_rows(request, source.path, lambda path: _artifact(backend, source, path))
        names = judged(backend, request, source, allowed)
        look = Look(environments, names, memory_bytes, confinement)
        draft = _draft(backend, request, source, secrets.token_hex(8), look)
        return publish(backend, draft, again=False)


def draft(
    backend: Backend,
    request: Registration,
    path: str,
    file: Path,
    *,
    run: RunRecord,
    nonce: str,
    environments: Environments | None = None,
    memory_bytes: int = 0,
    confinement: Confinement = NOT_CONFINED,
) -> ModelRecord:
    """What a file of a run would be as a model; its bytes are kept, and it has no version yet.

    Args:
        path: of the file in the run.
        nonce: tells this draft from any other.
        environments, memory_bytes, confinement: as for `register`.

    Raises:
        InvalidRequest, ModelUnusable: it cannot become a model.
    """
    check_name("model", request.name)
    _check_framework(request)
    request = with_captured_rows(request, path, lambda _: fit_beside(file))
    look = Look(environments, None, memory_bytes, confinement)
    return _draft(backend, request, Source(file, path, sha256_of(file), run), nonce, look)


def _artifact(backend: Backend, source: Source, path: str) -> bytes:
    assert source.run is not None
    return b"".join(opened(backend, source.run, path)[1])


def _draft(
    backend: Backend,
    request: Registration,
    source: Source,
    nonce: str,
    look: Look,
) -> ModelRecord:
    with provenance(look.environments, request, source.file, source.run) as origin:
        facts = facts_of(backend, request, source, origin, look)
    record = _record(backend, request, source, origin, facts, nonce)
    record = msgspec.structs.replace(record, names=look.names)
    if facts.golden is not None:
        golden = to_json(facts.golden)
        record = msgspec.structs.replace(record, golden=hashlib.sha256(golden).hexdigest())
        backend.objects.put(backend.keys.model_golden(record.name, record.golden), golden)
    if backend.objects.size(record.object_key) != record.size_bytes:
        with source.file.open("rb") as content:
            backend.objects.put(record.object_key, content, record.size_bytes)
    return record


def _check_framework(request: Registration) -> None:
    if request.framework not in _FRAMEWORKS:
        raise InvalidRequest(
            f"{request.framework!r} is not a model framework.",
            at="framework",
            hint=f"One of: {', '.join(_FRAMEWORKS)}.",
        )
    if any(not value > 0 for value in request.resources.values()):
        raise InvalidRequest("Resources must be more than 0.", at="resources", got=request.resources)


def _with_environment(backend: Backend, request: RegisterRequest) -> RegisterRequest:
    """The request with what the name of an environment stands for."""
    given = request.environment
    if isinstance(given, dict) and set(given) <= {"name", "strict"} and "name" in given:
        given = str(given["name"])
    if not isinstance(given, str) or given == OWN or re.fullmatch("[0-9a-f]{64}", given):
        return request
    return msgspec.structs.replace(request, environment=environment_names.spec_of(backend, given))


def _record(
    backend: Backend,
    request: Registration,
    source: Source,
    origin: Provenance,
    facts: ModelFacts,
    nonce: str,
) -> ModelRecord:
    run = source.run
    versions = origin.versions if origin.versions.python else facts.versions
    return ModelRecord(
        name=request.name,
        version=0,  # decided by the put that wins
        created_at=now(),
        path=source.path,
        sha256=source.sha256,
        size_bytes=source.file.stat().st_size,
        object_key=backend.keys.model_file(request.name, source.sha256),
        run=run.id if run else None,
        experiment=run.experiment if run else None,
        description=request.description,
        tags=request.tags,
        properties=request.properties,
        framework=request.framework,
        framework_version=request.framework_version,
        versions=versions,
        environment=origin.environment,
        whole=origin.whole,
        resources=request.resources,
        estimator=facts.estimator,
        methods=facts.methods,
        default_method=facts.default_method,
        input_schema=facts.input_schema,
        entry=facts.entry,
        classes=facts.classes,
        warnings=[*origin.warnings, *facts.warnings, *_version_warning(request, versions.packages)],
        workspace=backend.workspace,
        nonce=nonce,
    )


def _version_warning(request: Registration, packages: dict[str, str]) -> list[str]:
    real = packages.get("scikit-learn", "")
    declared = request.framework_version
    if request.framework != "ScikitLearn" or not declared or not real or declared == real:
        return []
    return [f"Declared as scikit-learn {declared}, but written by {real}; it is served by {real}."]
