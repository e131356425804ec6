"""The whole platform on one machine: Valkey, SeaweedFS, api, scoring, scheduler, and the
workers of every pool.

Started in that order, stopped in the reverse one, so that workers can hand back what they execute.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from fitq.backend import Backend, open_backend, open_objects
from fitq.errors import InvalidRequest, Unavailable
from fitq.local.bounds import first_workers, settle, words
from fitq.local.child import child
from fitq.local.home import Home
from fitq.local.objects import EmbeddedObjects
from fitq.local.ports import claim_port
from fitq.local.process import Process
from fitq.local.program import Program
from fitq.local.readiness import READY_SECONDS, wait_until_ready
from fitq.local.redis import EmbeddedRedis
from fitq.local.scaling import Wanted, Workers, most_workers, plan, process_of
from fitq.logs import get_logger
from fitq.names import check_name
from fitq.pools import list_pools, live_workers
from fitq.records import now
from fitq.settings import Settings
from fitq.store.patience import patiently

log = get_logger(__name__)
_LOOK_SECONDS = 0.2
#: API and scoring answer what they have begun.
_STOP_SECONDS = 30.0


class Stack:
    """The platform as child processes of this one.

    Example:
        >>> with Stack(tmp_path, pools={"default": 2}, api_port=0, scoring_port=0) as stack:
        ...     Client(stack.settings.url, stack.settings.token)

    Start it from a thread that lasts: the kernel ends the children when that thread ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        functions: Path | None = None,
        pools: Mapping[str, int | Workers] | None = None,
        idle_seconds: int = 300,
        api_port: int = 8700,
        scoring_port: int = 8701,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            data_dir: everything that is kept; made if it is missing.
            functions: folder of training functions; none if None.
            pools: name → number of workers, or the bounds between which it follows the queue; one worker in
                `default` if None. What was said since a start with the same stays: see `bounds.py`.
            idle_seconds: of pools with bounds: for so long a worker may have nothing to do.
            api_port, scoring_port: 0 for a free one.
            environment: other `FITQ_…` settings, and what the programs inherit; ours if None.

        Raises:
            InvalidRequest: a pool's name, a number of workers or the folder is wrong.
        """
        self.home = Home(data_dir)
        self.pools = dict(pools if pools is not None else {"default": 1})
        self.idle_seconds = idle_seconds
        self._idle_since: dict[int, float] = {}  #: process id of an idle worker → when that was first seen
        self._functions = functions.resolve() if functions else None
        self._ports = (api_port, scoring_port)
        self._environment = dict(os.environ if environment is None else environment)
        self.settings = Settings.from_environment(self._environment)  #: complete once started
        self.programs: list[Program] = []  #: in the order of their start
        self._is_ready = False
        self._is_holding_back = False
        self._check()

    def _check(self) -> None:
        for name, workers in self.pools.items():
            check_name("pool", name)
            if isinstance(workers, int) and workers < 0:
                raise InvalidRequest(f"Pool {name!r} cannot have {workers} workers.", hint="Give 0 or more.")
        if self._functions is not None and not self._functions.is_dir():
            raise InvalidRequest(
                f"There is no folder {self._functions} of training functions.",
                hint="Name one with --functions DIR.",
            )

    # --- start ------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start everything and wait until all of it answers.

        Raises:
            Conflict: the data folder or a port is in use.
            Unavailable: a program does not become ready; carries the end of its log. All are stopped.
        """
        self.home.claim()
        try:
            self._choose_addresses()
            self._start_stores()
            self._start_programs()
            self._tell_clients()
        except BaseException:
            self.stop()
            raise
        return self

    def _choose_addresses(self) -> None:
        given = Settings.from_environment(self._environment)
        api = claim_port(self._ports[0], what="the API", option="--api-port", host=given.api_host)
        scoring = claim_port(
            self._ports[1], what="scoring", option="--scoring-port", host=given.scoring_host, taken=api
        )
        self.settings = dataclasses.replace(
            given,
            url=f"http://127.0.0.1:{api}",
            scoring_url=f"http://127.0.0.1:{scoring}",
            api_port=api,
            scoring_port=scoring,
            functions=str(self._functions or ""),
            start_worker="fitq pools scale {pool} 1",  # heeded here
            work_dir=given.work_dir or str(self.home.folder / "work"),
            secrets_folder=given.secrets_folder or str(self.home.folder / "secrets"),
            environments=given.environments or str(self.home.folder / "environments"),
            private_paths=os.pathsep.join(p for p in (given.private_paths, str(self.home.folder)) if p),
        )

    def _start_stores(self) -> None:
        kept = self.home.secrets(self._environment)
        folder, logs = self.home.folder, self.home.logs
        redis = EmbeddedRedis(folder / "redis", password=kept.redis_password, log=logs / "valkey.log")
        objects = EmbeddedObjects(
            folder / "objects", kept.s3_access_key, kept.s3_secret_key, log=logs / "seaweedfs.log"
        )
        self._start_program(Program(redis.process, start=redis.start, stop_seconds=10))
        self._start_program(Program(objects.process, start=objects.start, stop_seconds=5))
        self.settings = dataclasses.replace(
            self.settings,
            redis_url=redis.url,
            s3_url=objects.url,
            s3_access_key=kept.s3_access_key,
            s3_secret_key=kept.s3_secret_key,
            token=kept.token,
        )
        open_objects(self.settings).ensure_bucket()

    def _start_programs(self) -> None:
        began = now()
        for name in ("api", "scoring", "scheduler"):
            self._start_program(Program(self._child(name, name), stop_seconds=_STOP_SECONDS))
        first = self._first_workers()
        for pool, number in first.items():
            for _ in range(number):
                self._start_worker(pool)
        wait_until_ready(self.settings, self.programs, first, began=began, logs=self.home.logs)

    def _first_workers(self) -> dict[str, int]:
        """With how many workers each pool starts, after the options have been taken at their word."""
        backend, before = open_backend(self.settings), self.home.words_of_last_start()
        settled = patiently(  # a store that has just come back answers before it finds what it keeps
            lambda: settle(backend, self.pools, self.idle_seconds, before),
            what="read the pools' settings",
            seconds=READY_SECONDS,
        )
        self.home.keep_words(words(self.pools, self.idle_seconds))
        has_functions = self._functions is not None
        return {
            pool: first_workers(workers, settled[pool], has_functions=has_functions)
            for pool, workers in self.pools.items()
        }

    def _start_worker(self, pool: str) -> None:
        taken = {program.name for program in self.programs}
        names = (f"worker-{pool}-{n}" for n in itertools.count(1))
        process = self._child("worker", next(n for n in names if n not in taken), pool)
        seconds = self.settings.grace_seconds + 40  # it ends and hands back its runs
        self._start_program(Program(process, stop_seconds=seconds, pool=pool))

    def _child(self, program: str, name: str, pool: str = "default") -> Process:
        settings = dataclasses.replace(self.settings, pool=pool)
        return child(program, name, settings, self._environment, self.home.logs)

    def _start_program(self, program: Program) -> None:
        self.programs.append(program)
        program.start()
        self._write_state()

    # --- tell -------------------------------------------------------------------------------------

    def _tell_clients(self) -> None:
        self.home.write_config(
            {
                "fitq_url": self.settings.url,
                "fitq_scoring_url": self.settings.scoring_url,
                "fitq_token": self.settings.token,
                "workspace_name": self.settings.workspace,
                "fitq_workspace": self.settings.workspace,
            }
        )
        self._is_ready = True
        self._write_state()

    def _write_state(self) -> None:
        self.home.write_state(
            {
                "pid": os.getpid(),
                "ready": self._is_ready,
                "url": self.settings.url,
                "scoring_url": self.settings.scoring_url,
                "programs": [
                    {
                        "name": p.name,
                        "pid": p.process.pid if p.process.is_running else None,
                        "pool": p.pool,
                        "restarts": p.restarts,
                        "log": str(p.process.log),
                    }
                    for p in self.programs
                ],
            }
        )

    # --- while it runs, and the end -----------------------------------------------------------------

    def watch(self, stop: threading.Event, beside: Callable[[], object] = lambda: None) -> None:
        """Until `stop` is set: start programs that end unasked again, and give pools the workers that their
        settings and their queue ask for.

        Args:
            beside: is done each time.
        """
        backend = open_backend(self.settings)
        looks = itertools.count(1)
        while not stop.wait(_LOOK_SECONDS):
            changed = [program.tend() for program in self.programs]  # each of them, not up to the first
            if next(looks) % 5 == 0:
                changed.append(self._scale(backend))
            if any(changed):
                self._write_state()
            beside()

    def _scale(self, backend: Backend) -> bool:
        gone = [p for p in self.programs if p.is_leaving and not p.process.is_running]
        self.programs = [p for p in self.programs if p not in gone]
        try:
            wanted, idle = self._look(backend)
        except Unavailable:
            return bool(gone)
        workers = [p for p in self.programs if p.pool and not p.is_leaving]
        todo = plan(wanted, workers, idle, most_workers())
        if todo.is_held_back and not self._is_holding_back:
            log.warning("workers_held_back", most=most_workers(), hint="Ask for fewer: fitq pools scale")
        self._is_holding_back = todo.is_held_back
        for pool in todo.start:
            self._start_worker(pool)
        for worker in todo.retire:
            worker.retire()
        return bool(gone or todo.start or todo.retire)

    def _look(self, backend: Backend) -> tuple[dict[str, Wanted], dict[Program, float]]:
        """What each pool with settings should have, and for how long idle workers have been so."""
        settings = backend.state.list_pools()
        demand = {p.name: p.demand for p in list_pools(backend)} if settings else {}
        idle = {process_of(w.id) for w in live_workers(backend) if not w.runs} if settings else set()
        at = time.monotonic()
        self._idle_since = {pid: self._idle_since.get(pid, at) for pid in idle}
        wanted = {name: Wanted(said, demand.get(name, 0)) for name, said in settings.items()}
        workers = {p.process.pid or 0: p for p in self.programs if p.pool}
        seconds = {workers[pid]: at - since for pid, since in self._idle_since.items() if pid in workers}
        return wanted, seconds

    def stop(self) -> None:
        """Workers first: they hand back their runs; then the other programs, the objects, and Redis."""
        for _, group in itertools.groupby(reversed(self.programs), key=lambda p: bool(p.pool)):
            programs = list(group)
            for program in programs:
                if program.pool:  # together: each may need its grace
                    program.process.ask_to_stop()
            for program in programs:
                program.stop()
        self.programs.clear()
        self.home.release()

    def kill(self) -> None:
        """SIGKILL to every program, without waiting: the impatient stop. `stop` is still to be called."""
        for program in self.programs:
            program.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
