"""What becomes of a run whose process has ended: its files kept, its models drafted, its end published.

All of it may be done again, by this attempt or by the next one: nothing is visible before
`final_records.finish`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fitq import attempts, drafts, final_records, made, registrations
from fitq.backend import Backend
from fitq.environments.builder import Environments
from fitq.errors import Unavailable
from fitq.final_records import LOG_PATH
from fitq.logs import get_logger
from fitq.records import ArtifactRecord, Failure, RunRecord, RunStatus, Usage
from fitq.registrations import NO_DRAFTS, Drafts
from fitq.scorer.confinement import Confinement
from fitq.settings import Settings
from fitq.store import patience
from fitq.store.patience import patiently
from fitq.worker import collect
from fitq.worker.children import keep_children
from fitq.worker.doctor import diagnosis
from fitq.worker.folder import RunFolder
from fitq.worker.handing_back import hand_back
from fitq.worker.watch import Ended, Watch

log = get_logger(__name__)


@dataclass(frozen=True)
class Finalizer:
    """Brings one run, of which no process is left, to its final status."""

    backend: Backend
    settings: Settings
    environments: Environments
    folder: RunFolder
    watch: Watch
    ended: Ended
    confinement: Confinement  #: of whoever loads a model that the run left

    def finish(self, run: RunRecord, advance: Callable[..., RunRecord]) -> None:
        """Keep what it left and publish its end; `advance(run, status, **changes)` is the worker's.

        One that is tried again goes back to its queue instead, and nothing but its log is kept.

        Raises:
            Fenced: the attempt is no longer the current one.
            Unavailable: a store stayed away.
        """
        if run.retry_failures and self._is_tried_again(run):
            return
        found = self._files_below(self.folder.code, collect.KEPT_FOLDERS)
        run = advance(run, RunStatus.FINALIZING, **self._learned(run, found.skipped))
        files = [*found.files, *self._files_below(self.folder.path, (collect.CAPTURED_FOLDER,)).files]
        artifacts = [self._keep(run, name, path) for name, path in [*files, (LOG_PATH, self.folder.std_log)]]
        failure = self._failure(run)
        children = patiently(
            lambda: keep_children(
                self.backend,
                run,
                self.folder.path,
                _status(failure),
                max_bytes=self.settings.output_bytes,
                redaction=self.folder.redaction,
            ),
            what="keep the child runs",
            seconds=patience.RUN_SECONDS,
        )
        drafted = self._draft_models(run, dict(files)) if failure is None else NO_DRAFTS
        self._warn(run, [*children.warnings, *drafted.warnings])
        ended = patiently(
            lambda: final_records.finish(
                self.backend,
                run,
                _status(failure),
                failure=failure,
                artifacts=artifacts,
                metrics=self.watch.metrics,
                models=drafted.models,
                children=children.runs,
            ),
            what="end the run",
        )
        self._remember(ended, artifacts)
        if drafted.models:
            self._register(ended)
        log.info("run_ended", run_id=run.id, status=ended.status, seconds=ended.usage.run_seconds)

    def _is_tried_again(self, run: RunRecord) -> bool:
        failure = self._failure(run)
        if failure is None or failure.kind == "canceled" or run.attempt >= run.max_attempts:
            return False
        hand_back(self.backend, run, f"the attempt failed: {failure.message}")
        return True

    def _files_below(self, folder: Path, names: tuple[str, ...]) -> collect.Found:
        return collect.find_files(folder, names, max_bytes=self.settings.output_bytes)

    def _learned(self, run: RunRecord, skipped: list[str]) -> dict[str, object]:
        """What the run's record has from now on."""
        watch, dropped = self.watch, self.watch.std_log.close()
        cut = [f"{dropped} bytes of output were not kept."] if dropped else []
        return {
            "usage": _usage(run, watch),
            "warnings": [*run.warnings, *watch.warnings, *skipped, *cut],
            "tags": watch.said.tagged(run.tags),
            "properties": watch.said.properties,
            # an attempt before this one may have come as far
            "register": [*run.register, *(r for r in watch.registrations if r not in run.register)],
        }

    def _keep(self, run: RunRecord, name: str, path: Path) -> ArtifactRecord:
        return collect.keep_file(self.backend, run, name, path)

    def _failure(self, run: RunRecord) -> Failure | None:
        exit_code = self.watch.process.exit_code or 0
        # A script may end by itself between a cancel, which was answered with 202, and our look at it.
        ended = Ended.CANCELED if run.cancel_requested and self.ended is Ended.EXITED else self.ended
        if ended is Ended.EXITED and exit_code == 0:
            return None
        functions = self.settings.functions
        case = diagnosis.Case(
            run=run,
            exit_code=exit_code,
            ended=ended,
            lines=tuple(self.watch.std_log.tail()),
            code=self.folder.code,
            functions=Path(functions) if functions else None,
        )
        return diagnosis.diagnose(case)

    def _draft_models(self, run: RunRecord, files: dict[str, Path]) -> Drafts:
        """The models that the run asked for; what cannot become one is a warning on it."""
        return patiently(
            lambda: registrations.draft(
                self.backend,
                run,
                run.register,
                files,
                self.environments,
                self.settings.scorer_memory_bytes,
                self.confinement,
            ),
            what="keep the models",
            seconds=patience.RUN_SECONDS,
        )

    def _warn(self, run: RunRecord, warnings: list[str]) -> None:
        """Add to what was known before; may be done again when the answer to it was lost."""
        if warnings:
            warned = [*run.warnings, *warnings]
            patiently(
                lambda: attempts.change(
                    self.backend, run, lambda r: msgspec.structs.replace(r, warnings=warned)
                ),
                what="warn",
            )

    def _remember(self, run: RunRecord, artifacts: list[ArtifactRecord]) -> None:
        try:
            made.remember(self.backend, run, artifacts)
        except Unavailable as exc:  # a file that is uploaded again is judged then: never the less safe way
            log.warning("model_files_not_remembered", run_id=run.id, error=exc.message)

    def _register(self, run: RunRecord) -> None:
        try:
            drafts.complete(self.backend, run.id)
        except Unavailable as exc:  # the scheduler finds the run's marker
            log.warning("registration_delayed", run_id=run.id, error=exc.message)


def _usage(run: RunRecord, watch: Watch) -> Usage:
    process = watch.process
    return Usage(
        queue_seconds=run.usage.queue_seconds,
        run_seconds=round(watch.seconds, 3),
        cpu_seconds=round(process.cpu_seconds, 3),
        peak_memory_bytes=max(process.peak_memory_bytes, watch.peak_memory_bytes),
    )


def _status(failure: Failure | None) -> RunStatus:
    if failure is None:
        return RunStatus.COMPLETED
    return RunStatus.CANCELED if failure.kind == "canceled" else RunStatus.FAILED
