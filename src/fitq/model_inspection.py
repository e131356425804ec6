"""Rules of looking into a file that is to become a model: what it may import, what a child tells of it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fitq import entry_scripts
from fitq.backend import Backend
from fitq.environments.builder import Environments
from fitq.environments.matching import answers_alike
from fitq.model_sources import Source, fetched_file
from fitq.provenance import Provenance
from fitq.records import EntryRequest, ModelRecord, RegisterRequest, Registration
from fitq.scorer.client import inspect_model
from fitq.scorer.confinement import Confinement
from fitq.scorer.entry import lay_out
from fitq.scorer.entry_inspection import inspect_entry
from fitq.scorer.facts import ModelFacts
from fitq.scorer.trusted import names_in

_INSPECT_SECONDS = 120.0


class Look(NamedTuple):
    """How a file is looked into."""

    environments: Environments | None
    names: list[str] | None  #: that it may import; None: it is trusted
    memory_bytes: int
    confinement: Confinement


def judged(
    backend: Backend, request: Registration, source: Source, allowed: Collection[str]
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


def facts_of(
    backend: Backend, request: Registration, source: Source, origin: Provenance, look: Look
) -> ModelFacts:
    """What a model is found to be, in the versions that wrote it.

    Raises:
        ModelUnusable: it does not load or does not answer, and why.
        Unavailable: no process can be confined to load it.
    """
    if isinstance(request, RegisterRequest) and request.entry is not None:
        return _script_facts(backend, request, request.entry, source, origin, look)
    if request.framework != "ScikitLearn":
        return ModelFacts(warnings=[f"A {request.framework} model is kept but not scored."])
    return inspect_model(source.file, names=look.names, **_how(request, origin, look))


def _how(request: Registration, origin: Provenance, look: Look) -> dict[str, Any]:
    return {
        "sample_input": request.sample_input,
        "seconds": _INSPECT_SECONDS,
        "interpreter": origin.python,
        "memory_bytes": look.memory_bytes,
        "confinement": look.confinement,
    }


def _script_facts(
    backend: Backend,
    request: RegisterRequest,
    asked: EntryRequest,
    source: Source,
    origin: Provenance,
    look: Look,
) -> ModelFacts:
    """An entry script is looked into with its models beside it; those that it reads besides are kept."""
    snapshot = entry_scripts.snapshot_of(backend, asked, source.run)
    packed = entry_scripts.code_of(backend, snapshot)
    others = entry_scripts.models_of(backend, asked, source.model)
    with tempfile.TemporaryDirectory(prefix="fitq-entry-") as name:
        folder = Path(name)
        fetched = [fetched_file(backend, model, folder / f"model{n}") for n, model in enumerate(others)]
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
