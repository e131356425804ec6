"""The life of one run on a worker: claim, prepare, run, finalize. Every step is one function.

`execute` may be called twice for one run: the second finds it taken and leaves. Whatever goes wrong in
the platform (a store is away, this worker stops) never fails a run: it waits, or hands the run back.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitq import attempts, claims, offered_secrets
from fitq.attempts import Fenced
from fitq.backend import Backend
from fitq.environments.builder import Environments
from fitq.environments.building import Watcher
from fitq.environments.tool import Interrupted
from fitq.errors import EnvironmentPostponed, FitqError, InvalidRequest, SecretUnavailable, Unavailable
from fitq.isolation.ladder import Ladder
from fitq.logs import get_logger
from fitq.records import FunctionRecord, RunRecord, RunStatus
from fitq.scorer.confinement import Confinement
from fitq.settings import Settings
from fitq.store import patience
from fitq.store.patience import patiently
from fitq.worker.confining import start_confined
from fitq.worker.doctor import diagnosis
from fitq.worker.finalize import Finalizer
from fitq.worker.folder import RunFolder
from fitq.worker.handing_back import (
    fail_before_start,
    hand_back,
    leave_to_another,
    lose,
    stop_before_start,
)
from fitq.worker.inputs import Inputs
from fitq.worker.preparing import Prepared, prepare
from fitq.worker.process import RunProcess
from fitq.worker.redaction import Redaction, too_short
from fitq.worker.runtime import OWN
from fitq.worker.starter import Starter
from fitq.worker.std_log import StdLog
from fitq.worker.vault import Vault
from fitq.worker.waiting import Waiting
from fitq.worker.watch import Ended, Watch

log = get_logger(__name__)
_PAUSE_WITHOUT_ROOM_SECONDS = 1.0


@dataclass(frozen=True)
class Executor:
    """What a worker needs to execute runs."""

    backend: Backend
    settings: Settings
    work_dir: Path
    worker_id: str
    find_function: Callable[[RunRecord], FunctionRecord | None]
    environments: Environments
    starter: Starter = field(default_factory=Starter)
    ladder: Ladder = field(default_factory=Ladder)
    vault: Vault = field(default_factory=Vault)
    stopping: threading.Event = field(default_factory=threading.Event)
    held: dict[str, RunRecord] = field(default_factory=dict)  #: what it executes, for leases and reports

    def execute(self, run_id: str) -> None:
        """Take the run if it is still to be taken, and bring it to its end."""
        if self.stopping.is_set():
            self._put_back(run_id)
            return
        if not self.has_room:
            self._leave_to_others(run_id)
            return
        run = self._claim(run_id)
        if run is None:
            log.info("run_not_claimed", run_id=run_id)
            return
        log.info("run_started", run_id=run.id, attempt=run.attempt, waited_seconds=run.usage.queue_seconds)
        folder = RunFolder(self.work_dir, run)
        self.held[run.id] = run
        try:
            self._bring_to_end(run, folder)
        except Fenced:
            log.warning("run_fenced", run_id=run.id, attempt=run.attempt)
        except Unavailable as exc:
            log.error("store_given_up", run_id=run.id, error=exc.message)
            hand_back(self.backend, run, f"the worker lost a store: {exc.message}")
        except Exception:  # a fault of ours, or of this machine: perhaps another worker fares better
            log.exception("attempt_crashed", run_id=run.id, attempt=run.attempt)
            lose(self.backend, self.held[run.id])
        finally:
            self.held.pop(run.id, None)
            folder.remove()

    def _claim(self, run_id: str) -> RunRecord | None:
        claim_id, seconds = attempts.new_claim_id(), self.settings.lease_seconds
        return patiently(
            lambda: claims.claim(self.backend, run_id, self.worker_id, seconds, claim_id=claim_id),
            what="claim a run",
            stop=self.stopping,
        )

    @property
    def has_room(self) -> bool:
        """Whether the disk of the work folder has as much free as a run needs to start."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.work_dir).free >= self.settings.free_disk_bytes

    def _leave_to_others(self, run_id: str) -> None:
        """The run waits in its queue: for another worker, or until there is room here."""
        log.error("disk_too_full", run_id=run_id, folder=str(self.work_dir))
        self.stopping.wait(_PAUSE_WITHOUT_ROOM_SECONDS)
        self._put_back(run_id)

    def _put_back(self, run_id: str) -> None:
        """A message that arrived while this worker stops: leave it for another."""
        run = self.backend.state.get_run(run_id)
        if run is not None and run.status is RunStatus.QUEUED:
            self.backend.queue.send(pool=run.pool, actor=run.actor, run_id=run_id)

    def _bring_to_end(self, run: RunRecord, folder: RunFolder) -> None:
        with contextlib.ExitStack() as held:
            try:
                run, process, std_log = self._start(run, folder, held)
            except Unavailable:
                raise
            except Interrupted:
                stop_before_start(self.backend, run, folder, self.stopping)
                return
            except EnvironmentPostponed as exc:
                failure = diagnosis.not_started(exc, kind="environment_failed")
                leave_to_another(self.backend, run, folder, failure)
                return
            except (FitqError, OSError) as exc:  # no room for its folder, or words too long for a process
                fail_before_start(self.backend, run, folder, diagnosis.not_started(exc))
                return
            self._see_through(run, folder, process, std_log)

    def _see_through(self, run: RunRecord, folder: RunFolder, process: RunProcess, std_log: StdLog) -> None:
        watch = Watch(self.backend, run, folder, process, std_log, self.settings, self.stopping)
        try:
            ended = watch.until_end()
        finally:
            process.group.remove()
        if ended is Ended.FENCED:
            raise Fenced(run.id)
        if ended is Ended.STOPPED:
            hand_back(self.backend, run, "the worker was stopped")
            return
        if process.was_lost:  # its keeper died: not the run's doing, as far as anybody can tell
            lose(self.backend, self.held[run.id])
            return
        if process.problem and ended is Ended.EXITED:
            log.error("run_not_confined", run_id=run.id, error=process.problem)
            failure = diagnosis.not_confined(self.worker_id, process.problem)
            leave_to_another(self.backend, run, folder, failure)
            return
        confinement = Confinement(ladder=self.ladder, within=folder.place, name=run.id)
        Finalizer(self.backend, self.settings, self.environments, folder, watch, ended, confinement).finish(
            run, self._advance
        )

    def _start(
        self, run: RunRecord, folder: RunFolder, held: contextlib.ExitStack
    ) -> tuple[RunRecord, RunProcess, StdLog]:
        secrets = self._secrets_of(run)
        before = self._log_of_earlier_attempts(run)
        folder.make()
        folder.redaction = Redaction(secrets.values())
        std_log = StdLog(
            folder.std_log, max_bytes=self.settings.log_bytes, before=before, redaction=folder.redaction
        )
        held.callback(std_log.close)
        if before:
            std_log.note(f"attempt {run.attempt}")
        waiting = Waiting(self.backend, run, std_log, self.stopping)
        self._fetch(lambda: folder.take_snapshot(self.backend, waiting.is_over), "fetch the snapshot")
        self._fetch(
            lambda: folder.take_inputs(self.backend, self._inputs, waiting.is_over), "fetch the inputs"
        )
        prepared = self._prepare(run, waiting)
        runtime, environment = prepared.runtime.granted(run.resources.cpus), prepared.record
        held.callback(runtime.close)
        program = folder.program(self._functions, self.find_function(run), runtime)

        run = self._advance(
            run,
            RunStatus.RUNNING,
            environment=environment,
            versions=runtime.versions,
            isolation=list(self.ladder.rungs),
            warnings=[*environment.warnings, *too_short(secrets)],
        )
        if run.cancel_requested:  # while it was Preparing: then nothing of it is executed
            raise Interrupted
        process = start_confined(
            run,
            folder,
            program,
            secrets,
            starter=self.starter,
            ladder=self.ladder,
            settings=self.settings,
        )
        if self.settings.warm_start and runtime.key != OWN.key:
            self.starter.keep_warm(self.settings.slots, runtime)
            self.starter.keep_at_most(self.settings.warm_environments)
        return run, process, std_log

    def _fetch(self, call: Callable[[], None], what: str) -> None:
        """Something that the run needs; other runs are not kept waiting for ever for what does not come."""
        patiently(call, what=what, seconds=patience.RUN_SECONDS, stop=self.stopping)

    def _secrets_of(self, run: RunRecord) -> dict[str, str]:
        """The values of what the run names, nothing else."""
        if not run.secrets:
            return {}
        try:
            patiently(
                lambda: offered_secrets.check_allowed(self.backend, run.pool, run.secrets),
                what="read the pool's settings",
                stop=self.stopping,
            )
        except InvalidRequest as exc:  # the settings are newer than the run
            raise SecretUnavailable(exc.message, hint=exc.hint) from exc
        return self.vault.values(run.secrets)

    def _prepare(self, run: RunRecord, waiting: Waiting) -> Prepared:
        """What the run executes in; what is built for it is shown in its log."""
        watcher = Watcher(say=waiting.say, interrupted=waiting.is_over)
        seconds = self.settings.index_seconds
        return prepare(self.environments, run.environment, watcher, patience_seconds=seconds)

    @property
    def _inputs(self) -> Inputs:
        return Inputs(self.work_dir / "inputs", self.settings.inputs_bytes)

    @property
    def _functions(self) -> Path | None:
        return Path(self.settings.functions) if self.settings.functions else None

    def _log_of_earlier_attempts(self, run: RunRecord) -> bytes:
        """A new attempt's log goes on where the last one's ended, so that readers' offsets hold."""
        if run.attempt == 1:
            return b""
        state, limit = self.backend.state, self.settings.log_bytes
        before = patiently(lambda: state.read_log(run.id, 0, limit), what="read the log")
        patiently(lambda: state.drop_live(run.id), what="begin a new log")
        return before

    def _advance(self, run: RunRecord, status: RunStatus, **changes: Any) -> RunRecord:
        advanced = patiently(
            lambda: attempts.advance(self.backend, run, status, **changes), what=f"make the run {status}"
        )
        self.held[run.id] = advanced
        return advanced

    def keep_leases(self) -> None:
        """Say that what this worker holds is held; put back what Redis lost of it."""
        held = list(self.held.values())
        self.backend.state.renew_leases([attempts.lease_of(run) for run in held], self.settings.lease_seconds)
        for run in held:
            if self.backend.state.get_run(run.id) is None and run.id in self.held:
                self.backend.state.add_run(run)
                log.warning("run_put_back", run_id=run.id)
