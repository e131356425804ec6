"""One worker process, from its start until nothing is executed any more.

Its actors are in `actors.py`, what it tells its pool every 2 s in `reports.py`. It works in two ways, with
the same broker: `Worker.run()` consumes in this process until it is told to stop; `dramatiq
services.worker.main` lets Dramatiq's own command line start the processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from dramatiq.middleware import Middleware

from fitq import attempts, claims
from fitq.backend import Backend, open_backend
from fitq.credentials import hide_this_process
from fitq.environments.opening import open_environments
from fitq.errors import FitqError, InvalidRequest, Unavailable
from fitq.heartbeat import Heartbeat
from fitq.isolation.family import adopt_orphans
from fitq.logs import get_logger
from fitq.names import check_name
from fitq.pools import REPORT_SECONDS
from fitq.queue import start_worker, stop_worker
from fitq.records import now
from fitq.settings import Settings
from fitq.stopping import set_on_signals
from fitq.store.patience import patiently
from fitq.worker.abandoned import Abandoned, sweep
from fitq.worker.actors import Actors
from fitq.worker.confining import ladder_for
from fitq.worker.execute import Executor
from fitq.worker.folder import parts_of
from fitq.worker.functions_folder import FunctionsFolder
from fitq.worker.importing import Importer
from fitq.worker.published import PublishedFunctions
from fitq.worker.reports import Reports
from fitq.worker.vault import Vault

log = get_logger(__name__)
#: Beyond a run's grace: to keep outputs and to hand back. What takes longer, its lease gives away.
_STOP_SECONDS = 15.0


class Worker(Middleware):
    """A worker of one pool. As a Dramatiq middleware it reports while the consumer threads live."""

    def __init__(self, settings: Settings, secrets: Mapping[str, str] | None = None) -> None:
        """
        Args:
            secrets: values that runs may name, besides those in `settings.secrets_folder`.
        """
        check_name("pool", settings.pool)
        folder = Path(settings.functions) if settings.functions else None
        if folder is not None and not folder.is_dir():
            raise InvalidRequest(
                f"FITQ_FUNCTIONS names {folder}, which is not a folder.",
                hint="Name the folder that holds your training functions.",
            )
        self.settings = settings
        self._heart = Heartbeat(settings.heartbeat)
        self._heart.begin()
        self.backend: Backend = open_backend(settings, [self])
        self.broker = self.backend.queue.broker
        self._environments = open_environments(settings, self.backend.objects)
        self._stopping = threading.Event()
        self._has_stopped = threading.Event()  #: nothing is executed any more
        self._work = settings.work_dir or str(_usual_work_dir())
        self._vault = Vault(_folder(settings.secrets_folder), secrets)
        hide_this_process()
        adopt_orphans()
        # Before user code is imported, which the lists of functions need.
        self._ladder = ladder_for(settings, Path(self._work))
        importer = Importer(
            work_dir=Path(self._work),
            ladder=self._ladder,
            processes=settings.run_processes,
            stopping=self._stopping,
        )
        self._actors = Actors(
            self.backend,
            settings.pool,
            FunctionsFolder(folder, settings.pool, importer),
            PublishedFunctions(self.backend, settings.pool, self._environments, importer, self._stopping),
            self._execute,
        )
        self._started_at = now()
        self._is_leaving = False
        self._telling: threading.Thread | None = None
        self.executor = self._new_executor()
        self._reports = Reports(self.executor, self._actors, self._started_at)
        if settings.one_shot:
            self.backend.queue.when_idle(self._on_idle)
        self._actors.load_folder()

    def _new_executor(self) -> Executor:
        return Executor(
            backend=self.backend,
            settings=self.settings,
            work_dir=Path(self._work),
            worker_id=f"{socket.gethostname()}-{os.getpid()}",
            ladder=self._ladder,
            find_function=self._actors.function_of,
            environments=self._environments,
            stopping=self._stopping,
            vault=self._vault,
        )

    # --- runs -----------------------------------------------------------------------------------

    def _execute(self, run_id: str) -> None:
        """The body of every actor: the message carries only the run's id."""
        self.executor.execute(run_id)
        if self.settings.one_shot and self._was_mine(run_id):
            self._stopping.set()
        if self._is_leaving and not self.executor.held:
            self._stopping.set()

    def _was_mine(self, run_id: str) -> bool:
        """Whether this worker executed it: a message may also be of a run that another one has."""
        with contextlib.suppress(Unavailable):
            run = self.backend.state.get_run(run_id)
            return run is not None and run.worker == self.executor.worker_id
        return True

    def _on_idle(self, queue_name: str) -> None:
        """Nothing waits, nothing is executed: a worker for one run is not needed."""
        if queue_name == self.settings.pool:
            self._stopping.set()

    # --- called by Dramatiq ---------------------------------------------------------------------

    def before_worker_boot(self, broker: object, worker: object) -> None:  # noqa: ARG002
        """This process, forked or not, is the worker now. All that a run needs is there before the first
        message is read: its executor, what confines it, and whoever renews its lease."""
        hide_this_process()
        adopt_orphans()
        self.executor = self._new_executor()
        self._reports = Reports(self.executor, self._actors, self._started_at)
        if self.settings.warm_start and not self.settings.one_shot:  # one run would not wait for it
            self.executor.starter.keep_warm(self.settings.slots)
        # Also while this worker stops: what it executes is its own until it has handed it back.
        self._repeat(self._keep_leases, until=self._has_stopped)
        self._repeat(lambda: sweep(Path(self._work), self._end_abandoned), until=self._stopping)

    def after_worker_boot(self, broker: object, worker: object) -> None:  # noqa: ARG002
        """Dramatiq's threads are there."""
        self._reports.publish()
        self._telling = self._repeat(self._reports.report, until=self._stopping)
        log.info("worker_ready", pool=self.settings.pool, functions=sorted(self._actors.functions))

    def before_worker_shutdown(self, broker: object, worker: object) -> None:  # noqa: ARG002
        """Runs in progress are handed back to the queue."""
        self._stopping.set()
        if self._telling is not None:
            self._telling.join(timeout=10)
        self._reports.withdraw()

    def after_worker_shutdown(self, broker: object, worker: object) -> None:  # noqa: ARG002
        """No run is left that could need them."""
        self._has_stopped.set()
        self.executor.starter.close()

    def _repeat(self, step: Callable[[], None], *, until: threading.Event) -> threading.Thread:
        """In a thread of its own: an object store that hangs while functions are looked for must not lose a
        run."""
        thread = threading.Thread(target=self._keep_on, args=(step, until), daemon=True)
        thread.start()
        return thread

    def _keep_on(self, step: Callable[[], None], until: threading.Event) -> None:
        # At least four renewals within a lease: a lost one, or a stall, loses no run.
        period_seconds = min(REPORT_SECONDS, self.settings.lease_seconds / 4)
        while not until.is_set():
            try:
                step()
            except FitqError as exc:  # whatever it is, the next time may fare better
                log.warning("report_failed", error=exc.message)
            until.wait(period_seconds)

    def _keep_leases(self) -> None:
        """Whose runs are kept lives, so this is what beats."""
        self._heart.beat()
        self.executor.keep_leases()

    def _end_abandoned(self, found: Abandoned) -> bool:
        """What a worker of this machine had when it died goes on at once: its lease need not run out, for the
        kernel says that it is dead. One of another machine may live: its folder goes after its attempt."""
        attempt = parts_of(found.name)
        if not found.is_dead:
            return attempts.has_gone_on(self.backend, *attempt)
        self._ladder.end_group(found.name)
        after = claims.lose_dead(self.backend, *attempt)
        if after is not None:
            log.warning("attempt_lost", run_id=after.id, attempt=found.name, now=after.status)
        return True

    # --- the process ----------------------------------------------------------------------------

    def leave(self) -> None:
        """End as soon as nothing is executed: its pool needs fewer workers, and no run pays for that."""
        log.info("worker_leaving", runs=sorted(self.executor.held))
        self._is_leaving = True
        self.backend.queue.when_idle(self._on_idle)

    def run(self) -> None:
        """Consume until SIGTERM or SIGINT, then hand runs back and return; or until SIGUSR1, then return as
        soon as the runs that are executed are over."""
        set_on_signals(self._stopping, {signal.SIGUSR1: self.leave})
        with contextlib.suppress(Unavailable):  # told to stop while Redis was away
            patiently(
                lambda: self._actors.load(wait=True), what="reach Redis", stop=self._stopping
            )  # before the first message: it may be of a published function
        worker = start_worker(self.broker, pool=self.settings.pool, slots=self.settings.slots)
        self._stopping.wait()
        log.info("worker_stopping", runs=sorted(self.executor.held))
        stop_worker(worker, seconds=self.settings.grace_seconds + _STOP_SECONDS)


def _usual_work_dir() -> Path:
    """One for all workers of this user: inputs are fetched once, and what a crash left is found. Not in /tmp,
    which is for what runs themselves put there."""
    with contextlib.suppress(OSError, RuntimeError):  # there is no such home, or it is read-only
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        work = cache / "fitq" / "work"
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(work, os.W_OK):
            return work
    return Path(tempfile.mkdtemp(prefix="fitq-work-"))


def _folder(text: str) -> Path | None:
    return Path(text).absolute() if text else None


def build(settings: Settings, secrets: Mapping[str, str] | None = None) -> Worker:
    """A worker whose actors are declared and whose broker is connected on first use."""
    return Worker(settings, secrets)
