"""Workers and schedulers as real processes, so that they can be killed, stopped and left alone."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from chaos_lab.proxy import Proxy

from fitq import kept_snapshots, runs, submission
from fitq.backend import Backend, open_backend
from fitq.records import FunctionRecord, RunRecord, RunRequest, RunStatus, to_json
from fitq.scheduler.main import Scheduler
from fitq.settings import Settings
from fitq.snapshots import pack
from tests.conftest import ROOT, Servers, eventually, settings_for
from tests.faults.web import Web, running
from tests.scoring.conftest import looked_into, saved
from tests.scoring.keeping import keep
from tests.test_execute import Bench

LEASE_SECONDS = 2.0


class Field:
    """A place where things go wrong: starts workers, submits scripts, and ends what it started."""

    def __init__(self, backend: Backend, settings: Settings, folder: Path) -> None:
        self.backend, self.folder = backend, folder
        # Scripts wait for a gate in the test's folder: runs may use it, as whatever user they are.
        folder.chmod(0o777)
        self.settings = dataclasses.replace(settings, lease_seconds=LEASE_SECONDS, run_paths=str(folder))
        self._workers: list[subprocess.Popen[bytes]] = []
        self._told = threading.Event()
        self._scheduler: threading.Thread | None = None

    def start_worker(self, step: str = "none", **settings: object) -> subprocess.Popen[bytes]:
        """A worker; one that does not get past a step of `dying.STEPS`, if that is given."""
        work = str(self.folder / f"work{len(self._workers)}")
        return self._start([step, "worker"], **{"work_dir": work, **settings})

    def submit_and_die(self, step: str, request: RunRequest, key: str) -> subprocess.Popen[bytes]:
        """A process that submits and dies at a step."""
        return self._start([step, "submit", to_json(request).decode(), key])

    def _start(self, words: list[str], **settings: object) -> subprocess.Popen[bytes]:
        told = dataclasses.replace(self.settings, **settings)  # type: ignore[arg-type]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
        with (self.folder / f"worker{len(self._workers)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.dying", *words],
                env={**inherited, **told.to_environment()},
                cwd=ROOT,
                stderr=log,
                start_new_session=True,
            )
        self._workers.append(process)
        return process

    def start_scheduler_process(self) -> subprocess.Popen[bytes]:
        """A scheduler that can be killed."""
        return self._start(["none", "scheduler"])

    def start_scheduler(self, backend: Backend | None = None) -> None:
        """One that reaches the stores by `backend`, if that is given."""
        self._scheduler = threading.Thread(target=self._look_after, args=(backend or self.backend,))
        self._scheduler.start()

    def _look_after(self, backend: Backend) -> None:
        scheduler = Scheduler(backend, LEASE_SECONDS)
        while not self._told.wait(LEASE_SECONDS / 4):
            scheduler.round()

    def submit(self, code: str, **asked: object) -> RunRecord:
        return submission.submit(self.backend, self.request(code, **asked))

    def request(self, code: str, **asked: object) -> RunRequest:
        source = self.folder / f"code{len(list(self.folder.glob('code*')))}"
        source.mkdir()
        (source / "train.py").write_text(code)
        sha256 = kept_snapshots.keep_snapshot(
            self.backend, io.BytesIO(pack(source).data), max_bytes=10**6, max_files=10
        )
        return RunRequest(snapshot=sha256, script="train.py", **asked)  # type: ignore[arg-type]

    def find(self, run: RunRecord) -> RunRecord:
        return runs.find(self.backend, run.id)

    def log(self, run: RunRecord) -> str:
        return runs.read_log(self.backend, run.id).data.decode()

    def wait_until(self, run: RunRecord, *statuses: RunStatus, seconds: float = 40.0) -> RunRecord:
        eventually(lambda: self.find(run).status in statuses, seconds=seconds, what=f"{run.id} in {statuses}")
        return self.find(run)

    def processes_of(self, run: RunRecord) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("FITQ_RUN_ID") == run.id
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end(self) -> None:
        self._told.set()
        if self._scheduler is not None:
            self._scheduler.join(20)
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
        for worker in self._workers:
            worker.wait(60)


@pytest.fixture
def field(backend: Backend, settings: Settings, tmp_path: Path) -> Iterator[Field]:
    field = Field(backend, settings, tmp_path)
    yield field
    field.end()


@pytest.fixture
def proxied(settings: Settings) -> Iterator[tuple[Proxy, Settings]]:
    """The object store behind a proxy."""
    with Proxy(urlsplit(settings.s3_url).port or 0) as proxy:
        yield proxy, dataclasses.replace(settings, s3_url=f"http://127.0.0.1:{proxy.port}")


@pytest.fixture
def bench(proxied: tuple[Proxy, Settings], tmp_path: Path) -> Bench:
    """Executes runs in this process, with that object store."""
    (tmp_path / "sources").mkdir()
    _, settings = proxied
    Path(settings.work_dir).mkdir()
    backend = open_backend(settings)
    backend.objects.ensure_bucket()
    return Bench(backend, settings, tmp_path / "sources")


@pytest.fixture(scope="package")
def strict(servers: Servers) -> Settings:
    """A workspace with a function and a model, and a second of patience with clients."""
    settings = settings_for(servers, client_seconds=1.0)
    backend = open_backend(settings)
    backend.objects.ensure_bucket()
    backend.state.publish_functions("default", [FunctionRecord(name="iris", pool="default")])
    return settings


@pytest.fixture(scope="package")
def webs(strict: Settings, iris: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Web]]:
    """API and scoring, with the model `iris`."""
    folder = tmp_path_factory.mktemp("webs")
    (folder / "iris.joblib").write_bytes(saved(iris))
    keep(strict, "iris", iris, looked_into(folder / "iris.joblib", None))
    started = {program: Web(strict, folder / program, program) for program in ("api", "scoring")}
    with running(*started.values()):
        yield started


@pytest.fixture(params=["api", "scoring"])
def web(webs: dict[str, Web], request: pytest.FixtureRequest) -> Web:
    """Each of the two."""
    return webs[request.param]
