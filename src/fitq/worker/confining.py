"""What separates runs from this machine: found once by a worker, and put around the process of each run."""

from __future__ import annotations

import os
from pathlib import Path

from fitq.isolation.ladder import RUNGS, Ladder, find_ladder, give_to
from fitq.logs import get_logger
from fitq.records import RunRecord
from fitq.settings import Settings
from fitq.worker.cores import default_folder, held_cores
from fitq.worker.folder import Program, RunFolder, name_of
from fitq.worker.process import RunProcess
from fitq.worker.starter import Starter

log = get_logger(__name__)
_ALL_OFF = dict.fromkeys([rung for rung in RUNGS if rung != "keeper"], "FITQ_ISOLATION is off")
#: Address space is not memory: libraries map far more than they use. Only what is out of all proportion is
#: refused at once, as a MemoryError where it was asked for.
_ADDRESS_SPACE_BYTES = 8 << 30


def ladder_for(settings: Settings, work_dir: Path) -> Ladder:
    """What separates runs and the importing of functions from this machine, unless nothing shall."""
    found = find_ladder(work_dir) if settings.isolation != "off" else Ladder(missing=_ALL_OFF)
    for rung, reason in found.missing.items():
        log.warning("isolation_rung_missing", rung=rung, reason=reason)
    if settings.secrets_folder and not {"landlock", "mounts"} & set(found.rungs):
        log.warning("secrets_folder_open_to_runs", hint="Hand secrets over as variables: FITQ_SECRET_<NAME>.")
    return found.with_places(
        hidden=[work_dir, *_paths(settings.private_paths), *_paths(settings.secrets_folder)],
        opened=_paths(settings.run_paths),
    )


def _paths(text: str) -> list[Path]:
    return [Path(p).absolute() for p in text.split(os.pathsep) if p]


def start_confined(
    run: RunRecord,
    folder: RunFolder,
    program: Program,
    secrets: dict[str, str],
    *,
    starter: Starter,
    ladder: Ladder,
    settings: Settings,
) -> RunProcess:
    """Start a run's process under what this machine has to confine it.

    Args:
        secrets: the values of those that the run names.

    Raises:
        OSError: its folder, its group or its process cannot be had.
    """
    user = ladder.user_for(run.id)
    give_to(user, folder.path)
    group = ladder.group_for(
        name_of(run),
        memory_bytes=run.resources.memory_bytes,
        processes=settings.run_processes,
    )
    reads = [*program.reads, *(given.path for given in folder.inputs.values())]
    plan = ladder.plan(
        run.id,
        folder=folder.path,
        scratch=folder.tmp,
        readable=reads,
        groups=group.join_files,
        cpus=folder.hold(held_cores(run.resources.cpus, default_folder())),
        limits=_limits(run),
    )
    environment = folder.environment(
        program.runtime,
        is_own_user=user is not None,
        has_own_tmp="mounts" in ladder.rungs,
        capture=bool(settings.capture),
        secrets=secrets,
    )
    try:
        process = starter.start(program, cwd=folder.code, environment=environment, plan=plan)
    except BaseException:
        group.remove()
        raise
    process.group = group
    return process


def _limits(run: RunRecord) -> dict[str, int]:
    memory = run.resources.memory_bytes
    return {} if memory is None else {"RLIMIT_AS": 4 * memory + _ADDRESS_SPACE_BYTES}


__all__ = ["ladder_for", "start_confined"]
