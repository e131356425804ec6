"""Real scripts in real processes, and what the doctor says of them. It needs no stores: it only reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from fitq.isolation.ladder import UNCONFINED
from fitq.records import EnvironmentRecord, Failure, RunRecord, RunStatus, Usage, Versions, now
from fitq.worker.doctor import diagnosis
from fitq.worker.folder import RunFolder
from fitq.worker.process import RunProcess, adopt_orphans
from fitq.worker.starter import Starter
from fitq.worker.std_log import StdLog
from fitq.worker.versions import own_versions
from tests.conftest import starters


def a_run(**facts: object) -> RunRecord:
    """A run's record as a worker holds it when the process has ended."""
    record = RunRecord(
        id="train-abc",
        experiment="e",
        status=RunStatus.FINALIZING,
        created_at=now(),
        pool="default",
        script="train.py",
        attempt=1,
        environment=EnvironmentRecord(resolved_to="worker"),
        versions=own_versions(),
    )
    return msgspec.structs.replace(record, **facts)


@dataclass(frozen=True)
class Clinic:
    """Runs a script as a worker does and asks the doctor why it failed."""

    folder: Path
    starter: Starter
    run: RunRecord = field(default_factory=a_run)

    def with_run(self, **facts: object) -> Clinic:
        return replace(self, run=msgspec.structs.replace(self.run, **facts))

    def diagnose(
        self,
        code: str | bytes,
        *arguments: str,
        files: dict[str, str] | None = None,
        command: str | None = None,
    ) -> Failure:
        """The failure of a script, or of a command beside that script."""
        how = {"command": command, "script": None} if command else {}
        run = msgspec.structs.replace(self.run, arguments=list(arguments), **how)
        place = RunFolder(self.folder, run)
        (place.path / "tmp").mkdir(parents=True)
        for name, content in {"train.py": code, **(files or {})}.items():
            path = place.code / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (place.code / "outputs").mkdir()
        log = StdLog(place.std_log, max_bytes=1_000_000)
        process = self.starter.start(
            place.program(None, None), cwd=place.code, environment=place.environment(), plan=UNCONFINED
        )
        self.end_of(process, log)
        run = msgspec.structs.replace(run, usage=Usage(peak_memory_bytes=process.peak_memory_bytes))
        assert process.exit_code is not None
        case = diagnosis.Case(run=run, exit_code=process.exit_code, lines=tuple(log.tail()), code=place.code)
        failure = diagnosis.examine(case)
        assert diagnosis.diagnose(case) == failure
        place.remove()
        return failure

    @staticmethod
    def end_of(process: RunProcess, log: StdLog) -> None:
        while not process.poll():
            log.feed(process.read(0.05))
        process.sweep(log.feed)
        log.close()


@pytest.fixture(scope="package")
def warm() -> Iterator[Starter]:
    yield from starters(warm=True)


@pytest.fixture
def clinic(tmp_path: Path, warm: Starter) -> Clinic:
    """Scripts start as forks of a warm parent: that is quick, also for those that need scikit-learn."""
    return Clinic(tmp_path / "work", warm)


@pytest.fixture
def cold_clinic(tmp_path: Path) -> Clinic:
    adopt_orphans()
    return Clinic(tmp_path / "cold", Starter())


__all__ = ["Clinic", "Versions", "a_run"]
