"""Rules of models: how they come to be and change. Reading them is `store.catalog`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from fitq import entry_scripts, environment_names, runs
from fitq.backend import Backend
from fitq.drafts import publish
from fitq.environments.builder import Environments
from fitq.environments.matching import answers_alike
from fitq.errors import Conflict, InvalidRequest, NotFound
from fitq.logs import get_logger
from fitq.made import MODEL_SUFFIXES, maker_of
from fitq.names import check_name, did_you_mean
from fitq.provenance import OWN, Provenance, provenance
from fitq.records import (
    ArtifactRecord,
    EntryRequest,
    ModelRecord,
    RegisterRequest,
    Registration,
    RunRecord,
    now,
    to_json,
)
from fitq.scorer.client import inspect_model
from fitq.scorer.entry import lay_out
from fitq.scorer.entry_inspection import inspect_entry
from fitq.scorer.facts import ModelFacts
from fitq.scorer.trusted import names_in
from fitq.store.checked import checked, open_checked

log = get_logger(__name__)
_FRAMEWORKS = ("Custom", "TensorFlow", "ScikitLearn", "Onnx", "TfKeras", "PyTorch", "Multi")
_USUAL_MODEL = "outputs/model.joblib"
_CAPTURED_MODEL = "captured/model.joblib"  #: see worker/shims/fitq_capture.py
_ROWS_BYTES = 4_000_000
_INSPECT_SECONDS = 120.0


class _Look(NamedTuple):
    """How a file is looked into."""

    environments: Environments | None
    names: list[str] | None  #: that it may import; None: it is trusted
    memory_bytes: int


class _Source(NamedTuple):
    """The bytes to register, on our disk, and where they came from."""

    file: Path
    path: str
    sha256: str
    run: RunRecord | None
    model: ModelRecord | None = None  #: whose file it is, registered before


def register(
    backend: Backend,
    request: RegisterRequest,
    *,
    upload: Path | None = None,
    upload_name: str = "",
    environments: Environments | None = None,
    allowed: Collection[str] = (),
    memory_bytes: int = 0,
) -> ModelRecord:
    """Make a run's artifact, an uploaded file, or the file of a model the next version of a model.

    The file is loaded once by a child process, in the environment it was made in, which tells its input
    schema; a file that does not load is refused. The model is served from the moment this returns.

    Args:
        environments: those of this machine; None: everything is loaded in this program's own.
        allowed: names that an uploaded file may import besides the usual ones.
        memory_bytes: that looking into the file may take; 0 for any amount.

    Raises:
        InvalidRequest: not exactly one of run, file and model; a wrong name, framework or entry script.
        NotFound: the run has no such file; `files` lists what it has. Or there is no such model.
        Conflict: the run has not ended.
        ModelUnusable: the file cannot be loaded, and why.
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
            sha256 = _sha256(upload)
            source = _Source(upload, upload_name or upload.name, sha256, maker_of(backend, sha256))
        elif request.model is not None:
            source, request = _from_model(backend, request, Path(folder))
        else:
            source = _from_run(backend, request, Path(folder))
            request = _with_rows(request, source.path, lambda path: _artifact(backend, source, path))
        names = _judged(backend, request, source, allowed)
        look = _Look(environments, names, memory_bytes)
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
) -> ModelRecord:
    """What a file of a run would be as a model; its bytes are kept, and it has no version yet.

    Args:
        path: of the file in the run.
        nonce: tells this draft from any other.
        environments, memory_bytes: as for `register`.

    Raises:
        InvalidRequest, ModelUnusable: it cannot become a model.
    """
    check_name("model", request.name)
    _check_framework(request)
    request = _with_rows(request, path, lambda _: _beside(file))
    look = _Look(environments, None, memory_bytes)
    return _draft(backend, request, _Source(file, path, _sha256(file), run), nonce, look)


RegistrationT = TypeVar("RegistrationT", bound=Registration)


def _with_rows(request: RegistrationT, path: str, read: Callable[[str], bytes]) -> RegistrationT:
    """For a model that was captured: the rows that its `fit` saw, where nobody gave others."""
    if path != _CAPTURED_MODEL or request.sample_input is not None:
        return request
    with contextlib.suppress(OSError, NotFound, msgspec.MsgspecError, UnicodeDecodeError):
        seen = msgspec.json.decode(read("captured/fit.json"))
        rows = seen.get("rows") if isinstance(seen, dict) else None
        if isinstance(rows, list) and rows:
            return msgspec.structs.replace(request, sample_input=rows)
    return request


def _beside(file: Path) -> bytes:
    """What the captured model's file has beside it, which a script may have replaced by a link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(file.with_name("fit.json"), flags), "rb") as told:
        return told.read(_ROWS_BYTES)


def _artifact(backend: Backend, source: _Source, path: str) -> bytes:
    assert source.run is not None
    return b"".join(_opened(backend, source.run, path)[1])


def _opened(backend: Backend, run: RunRecord, path: str) -> tuple[ArtifactRecord, Iterator[bytes]]:
    """A file of a run that has ended, as it was kept."""
    artifact, pieces = runs.open_artifact(backend, run, path)
    return artifact, checked(pieces, f"{path} of run {run.id}", artifact.sha256)


def _draft(
    backend: Backend,
    request: Registration,
    source: _Source,
    nonce: str,
    look: _Look,
) -> ModelRecord:
    with provenance(look.environments, request, source.file, source.run) as origin:
        facts = _facts(backend, request, source, origin, look)
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


def _from_run(backend: Backend, request: RegisterRequest, folder: Path) -> _Source:
    run = runs.find(backend, request.run or "")
    if not run.status.is_final:
        raise Conflict(
            f"Run {run.id!r} is {run.status}; its files are complete when it has ended.",
            hint=f"Wait for it: fitq runs logs {run.id} --follow",
        )
    path = meant_file(run.id, [a.path for a in runs.artifacts(backend, run)], request)
    artifact, pieces = _opened(backend, run, path)
    file = _write(pieces, folder / Path(path).name)
    return _Source(file, path, artifact.sha256, run)


def _from_model(backend: Backend, request: RegisterRequest, folder: Path) -> tuple[_Source, RegisterRequest]:
    """The file of a registered version, and the request with what is known of that version."""
    model = backend.catalog.named(request.model or "")
    file = _fetched(backend, model, folder / "model")
    run = runs.find(backend, model.run) if model.run is not None else None
    known = {"framework": model.framework, "framework_version": model.framework_version}
    if request.environment is None and model.environment:
        known["environment"] = model.environment
    properties = {"model": model.id, **request.properties}
    request = msgspec.structs.replace(request, properties=properties, **known)
    return _Source(file, model.path, model.sha256, run, model), request


def _fetched(backend: Backend, model: ModelRecord, file: Path) -> Path:
    """The file of a registered model."""
    pieces = open_checked(backend.objects, model.object_key, model.sha256)
    if pieces is None:
        raise NotFound(f"The bytes of model {model.id} are not in the object store any more.", at="model")
    return _write(pieces, file)


def _with_environment(backend: Backend, request: RegisterRequest) -> RegisterRequest:
    """The request with what the name of an environment stands for."""
    given = request.environment
    if isinstance(given, dict) and set(given) <= {"name", "strict"} and "name" in given:
        given = str(given["name"])
    if not isinstance(given, str) or given == OWN or re.fullmatch("[0-9a-f]{64}", given):
        return request
    return msgspec.structs.replace(request, environment=environment_names.spec_of(backend, given))


def meant_file(run_id: str, files: list[str], request: Registration) -> str:
    """The file of a run that is to become the model: the one of that path, or the only model file below a
    folder of that path. Without a path it is one named as the model, `outputs/model.joblib`, the only
    model file in `outputs`, or else the one that was captured.

    Raises:
        NotFound, InvalidRequest: `files` lists what there is.
    """
    usual = (name for name in (request.name, _USUAL_MODEL) if name in files)
    asked = request.path or next(usual, "outputs")
    if asked in files:
        return asked
    below = [f for f in files if f.startswith(asked.rstrip("/") + "/") and f.endswith(MODEL_SUFFIXES)]
    if len(below) == 1:
        return below[0]
    if not below and not request.path and _CAPTURED_MODEL in files:
        return _CAPTURED_MODEL
    if below:
        raise InvalidRequest(
            f"{asked!r} holds several model files.", at="path", hint="Name one of them.", files=below
        )
    what = "file" if request.path else "model file in"
    raise NotFound(
        f"Run {run_id!r} has no {what} {asked!r}. {did_you_mean(asked, files)}".strip(),
        hint=f"It has: {', '.join(files[:20]) or 'no files'}.",
        at="path",
        files=files,
    )


def _write(pieces: Iterator[bytes], file: Path) -> Path:
    with file.open("xb") as out:
        out.writelines(pieces)
    return file


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _judged(
    backend: Backend, request: Registration, source: _Source, allowed: Collection[str]
) -> list[str] | None:
    """What an uploaded file may import; None: it is trusted, as a run left it or somebody approved it.

    Raises:
        ModelUnusable: it imports something else; says what.
    """
    if source.run is not None or request.framework != "ScikitLearn":
        return None
    if source.model is not None:
        return source.model.names
    if backend.objects.size(backend.keys.approval(source.sha256)) is not None:
        return None
    return names_in(source.file, allowed)


def _facts(
    backend: Backend, request: Registration, source: _Source, origin: Provenance, look: _Look
) -> ModelFacts:
    if isinstance(request, RegisterRequest) and request.entry is not None:
        return _script_facts(backend, request, request.entry, source, origin, look)
    if request.framework != "ScikitLearn":
        return ModelFacts(warnings=[f"A {request.framework} model is kept but not scored."])
    return inspect_model(source.file, names=look.names, **_how(request, origin, look))


def _how(request: Registration, origin: Provenance, look: _Look) -> dict[str, Any]:
    return {
        "sample_input": request.sample_input,
        "seconds": _INSPECT_SECONDS,
        "interpreter": origin.python,
        "memory_bytes": look.memory_bytes,
    }


def _script_facts(
    backend: Backend,
    request: RegisterRequest,
    asked: EntryRequest,
    source: _Source,
    origin: Provenance,
    look: _Look,
) -> ModelFacts:
    """An entry script is looked into with its models beside it; those that it reads besides are kept."""
    snapshot = entry_scripts.snapshot_of(backend, asked, source.run)
    packed = entry_scripts.code_of(backend, snapshot)
    others = entry_scripts.models_of(backend, asked, source.model)
    with tempfile.TemporaryDirectory(prefix="fitq-entry-") as name:
        folder = Path(name)
        fetched = [_fetched(backend, model, folder / f"model{n}") for n, model in enumerate(others)]
        read, files = [], {Path(source.path).name: source.file}
        if others and source.model is not None:
            read = [entry_scripts.copied(backend, m, request.name) for m in (source.model, *others)]
            files = {m.path: file for m, file in zip(read, [source.file, *fetched], strict=True)}
        code = lay_out(asked.script, packed, files, folder)
        facts = inspect_entry(code, snapshot, **_how(request, origin, look))
        for model, file in zip(read[1:], fetched, strict=True):
            backend.objects.put(model.object_key, file.read_bytes())
    assert facts.entry is not None
    entry = msgspec.structs.replace(facts.entry, models=read)
    unlike = [m for m in others if not answers_alike(m.versions, origin.versions)]
    warnings = [*facts.warnings, *(_other_versions(model, origin) for model in unlike)]
    return msgspec.structs.replace(facts, entry=entry, warnings=warnings)


def _other_versions(model: ModelRecord, origin: Provenance) -> str:
    return f"{model.id} was made with {model.versions.told}; the script reads it with {origin.versions.told}."


def _record(
    backend: Backend,
    request: Registration,
    source: _Source,
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
