"""In which versions a model file was made, and an interpreter that has them to look into it."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fitq.environments.builder import EnvironmentFolder, Environments
from fitq.environments.matching import answers_alike, folder_for, own_versions
from fitq.environments.reading import read_spec
from fitq.errors import EnvironmentFailed, InvalidRequest, ModelUnusable, NotFound
from fitq.records import RegisterRequest, Registration, RunRecord, Versions
from fitq.scorer.pickles import sklearn_that_wrote
from fitq.scorer.skops_files import is_skops, versions_in_skops
from fitq.scorer.trusted import needs_more_than_ours

#: As `environment` of a request: whatever wrote the file, load it in what the platform itself has.
OWN = "platform"


class Provenance(NamedTuple):
    """Where a model file is from, as far as that decides what it answers."""

    python: str  #: an interpreter with these versions
    environment: str  #: hash; empty for the platform's own, or that of a worker
    versions: Versions  #: that wrote it; empty: those of the interpreter
    warnings: list[str]
    whole: bool = False  #: more of the environment is needed than the versions that decide answers


@contextlib.contextmanager
def provenance(
    environments: Environments | None, request: Registration, file: Path, run: RunRecord | None
) -> Iterator[Provenance]:
    """Where a file is from; its environment stays on this machine while it is looked into.

    Raises:
        ModelUnusable: the versions that wrote it are not here and cannot be had; says what to choose from.
        InvalidRequest: `environment` of the request is not one.
        EnvironmentPostponed, Unavailable: not now.
    """
    given, whole = None, False
    if isinstance(request, RegisterRequest):
        given, whole = request.environment, request.entry is not None
    wrote = run.versions if run is not None else _written_by(file)
    warnings = []
    if given is not None or (run is not None and run.environment.hash):
        whole = whole or needs_more_than_ours(file)
    if given is not None:
        folder = _given(environments, given)
    else:
        folder = _found(environments, wrote, run, whole)
        if folder is not None and run is None:
            warnings = [_chosen(wrote, folder)]
    if given == OWN and not answers_alike(wrote, own_versions()):
        warnings = [f"It was written by {wrote.told}, and is loaded with {own_versions().told} as asked for."]
    try:
        if folder is None:
            hash = run.environment.hash if run is not None and given is None else ""
            yield Provenance(sys.executable, hash, wrote if run is not None else Versions(), warnings)
        else:
            has = Versions(python=folder.release, packages=folder.packages)
            yield Provenance(str(folder.python), folder.hash, has, warnings, whole)
    finally:
        if folder is not None:
            folder.close()


def _written_by(file: Path) -> Versions:
    """What a file tells of its origin."""
    if is_skops(file):
        return Versions(packages=versions_in_skops(file))
    version = sklearn_that_wrote(file)
    return Versions(packages={"scikit-learn": version} if version else {})


def _given(environments: Environments | None, given: object) -> EnvironmentFolder | None:
    if given == OWN or environments is None:
        return None
    if isinstance(given, str):
        if not re.fullmatch("[0-9a-f]{64}", given):
            raise InvalidRequest(
                f"{given!r} is no environment.",
                at="environment",
                hint=f'Send {{"pip": ["scikit-learn==1.5.2", …]}}, a hash of 64 digits, or "{OWN}".',
            )
        return environments.open(given)
    assert isinstance(given, dict)
    spec = read_spec(given)
    return environments.prepare(spec, environments.choose(spec))


def _found(
    environments: Environments | None, wrote: Versions, run: RunRecord | None, whole: bool
) -> EnvironmentFolder | None:
    if environments is None or not wrote.packages:
        return None
    try:
        hash = run.environment.hash if run is not None else ""
        return folder_for(environments, wrote, hash, whole=whole)
    except (EnvironmentFailed, NotFound) as exc:
        raise ModelUnusable(
            f"The model was written by {wrote.told}; the platform has {own_versions().told}, "
            f"and an environment with the versions of the model cannot be had: {exc.message}",
            hint=f"{exc.hint} Or say in which environment it is to be loaded: --environment FILE, "
            f"or --environment {OWN} for what the platform has.".strip(),
            registered=wrote.packages,
            serving=own_versions().packages,
        ) from exc


def _chosen(wrote: Versions, folder: EnvironmentFolder) -> str:
    has = Versions(python=folder.release, packages=folder.packages)
    return (
        f"Nothing but the file tells what wrote it: scikit-learn {wrote.packages['scikit-learn']}. "
        f"It is loaded with {has.told}."
    )
