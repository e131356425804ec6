"""Building a named environment ahead of its use: a run that does nothing in it but tell what it is.

So a build has a log, a status, a failure and a worker as every run has, and needs nothing of its own.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import msgspec

from fitq import environment_names, runs, submission
from fitq.backend import Backend
from fitq.errors import NotFound
from fitq.kept_snapshots import keep_snapshot
from fitq.records import EnvironmentBuild, NamedEnvironment, RunRecord, RunRequest
from fitq.snapshots import MAX_BYTES, MAX_FILES, pack

#: Under which builds are listed among the experiments.
EXPERIMENT = "environments"
_TAG = "environment"
_BUILDS_LOOKED_AT = 500
_SCRIPT = 'import sys\n\nprint("Python", sys.version.split()[0], "in", sys.prefix)\n'


def build(backend: Backend, named: NamedEnvironment, pool: str | None = None) -> RunRecord:
    """Have a worker of a pool build it. Every other machine builds it when it needs it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "build.py").write_text(_SCRIPT)
        packed = pack(Path(folder))
    snapshot = keep_snapshot(backend, io.BytesIO(packed.data), max_bytes=MAX_BYTES, max_files=MAX_FILES)
    request = RunRequest(
        experiment=EXPERIMENT,
        snapshot=snapshot,
        script="build.py",
        environment=named.name if named.is_curated else named.id,
        pool=pool,
        tags={_TAG: named.id},
        display_name=f"build {named.id}",
    )
    return submission.submit(backend, request)


def with_build(backend: Backend, named: NamedEnvironment) -> NamedEnvironment:
    """The environment with what is known of its last build."""
    run = last_build(backend, named)
    return named if run is None else msgspec.structs.replace(named, build=_told(run))


def list_with_builds(backend: Backend) -> list[NamedEnvironment]:
    """Every environment, with what is known of its last build if that is among the newest ones."""
    newest: dict[str, RunRecord] = {}
    for run in runs.page(backend, experiment=EXPERIMENT, limit=_BUILDS_LOOKED_AT).runs:
        newest.setdefault(run.tags.get(_TAG, ""), run)
    return [
        msgspec.structs.replace(named, build=_told(newest[named.id])) if named.id in newest else named
        for named in environment_names.list_all(backend)
    ]


def last_build(backend: Backend, named: NamedEnvironment) -> RunRecord | None:
    """The newest run that builds it, if there was one."""
    found = runs.page(backend, experiment=EXPERIMENT, tags={_TAG: named.id}, limit=1).runs
    return found[0] if found else None


def log_of(backend: Backend, named: NamedEnvironment, limit: int = 4 << 20) -> bytes:
    """What its last build said.

    Raises:
        NotFound: nobody asked for a build.
    """
    run = last_build(backend, named)
    if run is None:
        raise NotFound(
            f"Environment {named.id} was not built ahead of its use; a run shows what was built for it.",
            hint=f"Build it with: fitq environments build {named.name}",
        )
    return runs.read_log(backend, run.id, 0, limit).data


def _told(run: RunRecord) -> EnvironmentBuild:
    return EnvironmentBuild(
        run=run.id,
        status=run.status,
        at=run.created_at,
        hash=run.environment.hash,
        python=run.environment.python,
        packages=run.versions.packages if run.environment.hash else {},
        warnings=run.warnings,
        failure=run.failure,
    )
