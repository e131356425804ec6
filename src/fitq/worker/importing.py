"""The child that imports training functions so that they can be listed: kept and confined as a run is.

Each has a fresh folder, the only place that it may write to: <work>/functions-<random>/
    lock           held by this worker: see abandoned.py
    own/           HOME and, where no other is given, the working folder
    own/tmp/       TMPDIR, and /tmp where the machine allows it
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fitq.errors import Unavailable
from fitq.isolation.groups import Group
from fitq.isolation.ladder import Ladder, give_to, own_places
from fitq.worker.abandoned import held
from fitq.worker.folder import Program
from fitq.worker.process import ColdProcess

_NAME = "functions"
_MOST_OUTPUT = 4 << 20
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Imported:
    """How a child ended."""

    output: bytes  #: the last of what it wrote to stdout and stderr
    exit_code: int | None  #: None: it had to be ended, its time was up
    needed_memory: bool = False  #: the kernel ended it because it used too much


@dataclass(frozen=True, kw_only=True)
class Importer:
    """Starts such children on one worker."""

    work_dir: Path
    ladder: Ladder
    processes: int = 4000  #: most that a child may have, where control groups can be made
    memory_bytes: int = 4 << 30  #: the same of memory; several times what importing large libraries takes
    stopping: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """A folder that is gone afterwards, also when this worker is killed and another one starts.

        Raises:
            OSError: there is no room.
        """
        self.work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f"{_NAME}-", dir=self.work_dir.resolve(), ignore_cleanup_errors=True
        ) as name:
            Path(name).chmod(0o711)
            with held(Path(name)):
                yield Path(name)

    def give(self, folder: Path) -> None:
        """Have children read a folder of this worker's that was made for them. Before the first of them:
        what one has written to is never given again, because links in it could lead anywhere."""
        give_to(self.ladder.user_for(_NAME), folder)

    def run(self, program: Program, *, cwd: Path | None = None, seconds: float) -> Imported:
        """Run a program to its end; nothing that it started is left then.

        Raises:
            Unavailable: it could not be started as it has to be, or this worker stops.
        """
        try:
            with self.room() as room:
                return self._run(program, room, cwd, seconds)
        except OSError as exc:
            raise Unavailable(f"Functions cannot be imported on this worker now: {exc}.") from exc

    def _run(self, program: Program, room: Path, cwd: Path | None, seconds: float) -> Imported:
        group = self.ladder.group_for(room.name, memory_bytes=self.memory_bytes, processes=self.processes)
        try:
            process = self._start(program, room, cwd, group)
            output, is_over = self._see_through(process, seconds)
            if process.problem:
                raise Unavailable(f"Functions cannot be imported confined: {process.problem}.")
            return Imported(output, process.exit_code if is_over else None, group.ended_for_memory)
        finally:
            group.remove()

    def _start(self, program: Program, room: Path, cwd: Path | None, group: Group) -> ColdProcess:
        own, user = room / "own", self.ladder.user_for(_NAME)
        for folder in (own, own / "tmp"):
            folder.mkdir(mode=0o700)
        give_to(user, own)
        reads, joins = program.reads, group.join_files
        plan = self.ladder.plan(_NAME, folder=own, scratch=own / "tmp", readable=reads, groups=joins)
        environment = {
            **program.runtime.variables(),
            **own_places(
                own, own / "tmp", is_own_user=user is not None, has_own_tmp="mounts" in self.ladder.rungs
            ),
            "FITQ_RUN_ID": room.name,  # what outlives its keeper is known by it
        }
        return ColdProcess(program.command, cwd=cwd or own, environment=environment, plan=plan)

    def _see_through(self, process: ColdProcess, seconds: float) -> tuple[bytes, bool]:
        """Its output, and whether it ended by itself."""
        output = bytearray()

        def take(piece: bytes) -> None:
            output.extend(piece)
            del output[:-_MOST_OUTPUT]

        deadline = time.monotonic() + seconds
        try:
            while not process.poll() and time.monotonic() < deadline and not self.stopping.is_set():
                take(process.read(_LOOK_SECONDS))
            is_over = process.poll()
        finally:
            process.sweep(take)
        if not is_over and self.stopping.is_set():
            raise Unavailable("Functions are not imported: the worker is stopping.")
        return bytes(output), is_over
