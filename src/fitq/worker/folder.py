"""The folder of one attempt, and what its process is told through the environment.

<work>/<run>-<attempt>-<claim>/
    lock                   held by its worker: see abandoned.py
    std_log.txt            stdout and stderr, merged; out of the run's reach
    run/                   all that is the run's own
        code/              the working folder: a fresh copy of the snapshot
        code/outputs/      exists before the script starts; kept
        code/logs/         kept too
        metrics.jsonl, properties.jsonl    see fitq/context.py
        call.json          for training functions: which, with what
        home/              HOME
        tmp/               TMPDIR, and /tmp where the machine allows it
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from fitq.backend import Backend
from fitq.environments.tool import Interrupted
from fitq.errors import NotFound
from fitq.isolation.ladder import installation_of, own_places
from fitq.names import INPUT_REFERENCE
from fitq.records import FunctionRecord, RunRecord
from fitq.snapshots import unpack
from fitq.store.checked import open_checked
from fitq.worker.abandoned import discard, held
from fitq.worker.aside import Aside
from fitq.worker.inputs import Input, Inputs
from fitq.worker.redaction import NONE
from fitq.worker.runtime import OWN, Runtime
from fitq.worker.sagemaker import all_arguments, sagemaker_environment

T = TypeVar("T")

_HERE = Path(__file__).parent
#: Archives up to this size stay in memory for the next run of the same snapshot.
_FEW_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is to be started for a run."""

    command: list[str]
    runtime: Runtime = OWN  #: whose interpreter runs it
    modules: Path | None = None  #: for Python of that interpreter, the folder that it imports from

    @property
    def reads(self) -> list[Path]:
        """What it needs to read besides its own folder, wherever that lies."""
        programs = [Path(self.command[0]), Path(self.runtime.python)]  # a command may use that Python too
        prefixes = [path for one in programs for path in installation_of(one)]
        return [*prefixes, *([self.modules] if self.modules else [])]

    @property
    def script_argv(self) -> list[str]:
        """The script and its arguments, without the interpreter and its `-u`."""
        return self.command[2:]


def name_of(run: RunRecord) -> str:
    """What the attempt that a run is in is called on this machine."""
    return f"{run.id}-{run.attempt_id}"


def parts_of(name: str) -> tuple[str, str]:
    """(run id, attempt id) of such a name; of another, those of no run."""
    run_id, *attempt_id = name.rsplit("-", 2)
    return run_id, "-".join(attempt_id)


class RunFolder:
    """Where one attempt lives."""

    def __init__(self, work_dir: Path, run: RunRecord) -> None:
        self.run = run
        # Without links: what a run leaves is read by a path of which no part may be one.
        self.place = work_dir.resolve() / name_of(run)  #: all that this worker keeps for it
        self.path = self.place / "run"
        self.code = self.path / "code"
        self.metrics = self.path / "metrics.jsonl"
        self.properties = self.path / "properties.jsonl"
        self.inputs: dict[str, Input] = {}
        self._holding = contextlib.ExitStack()
        self.tmp = self.path / "tmp"
        self.std_log = self.place / "std_log.txt"
        self.redaction = NONE  #: what is kept of the run goes through it

    def make(self) -> None:
        """Lay out the folder, without what comes from the object store."""
        self.remove()
        self.place.mkdir(parents=True, mode=0o711)
        self.hold(held(self.place))
        for folder in (self.path, self.tmp, self.path / "home"):
            folder.mkdir(mode=0o700)

    def take_snapshot(self, backend: Backend, is_over: Callable[[], bool]) -> None:
        """Have the code in its place.

        Raises:
            UnsafeSnapshot, NotFound: the run cannot start, now or ever.
            Unavailable: the object store is away, or sent other bytes than were kept.
            Interrupted: `is_over` says that the run is not wanted any more.
        """
        if is_over():
            raise Interrupted
        if self.run.snapshot:
            fetch_snapshot(backend, self.run.snapshot, self.code)
        (self.code / "outputs").mkdir(parents=True, exist_ok=True)

    def take_inputs(self, backend: Backend, inputs: Inputs, is_over: Callable[[], bool]) -> None:
        """Have the run's inputs on this machine until the folder is removed.

        Raises:
            NotFound: the data is gone.
            Interrupted: `is_over` says that the run is not wanted any more.
        """
        if self.run.inputs:
            taken = Aside(lambda unwanted: inputs.held(backend, self.run.inputs, unwanted))
            self.inputs = self.hold(taken.unless(is_over))

    def hold(self, one: AbstractContextManager[T]) -> T:
        """What the run has until its folder is removed."""
        return self._holding.enter_context(one)

    def remove(self) -> None:
        """Nothing of the attempt is left; its inputs stay for others."""
        self._holding.close()
        discard(self.place)

    def program(
        self, functions: Path | None, function: FunctionRecord | None, runtime: Runtime = OWN
    ) -> Program:
        """The program that is this run."""
        if self.run.command is not None:
            words = self._told([self.run.command, *self.run.arguments])
            return Program(command=["/bin/sh", "-c", *words], runtime=runtime)
        if self.run.script is not None:
            script = self.code / self.run.script
            command = [runtime.python, "-u", self.run.script, *self._told(all_arguments(self.run))]
            return Program(command=command, runtime=runtime, modules=script.parent)
        if self.run.snapshot:  # published code: this run's own copy of it
            functions = self.code
        if functions is None or function is None:
            raise NotFound(f"This worker has no function {self.run.function!r} any more.")
        call = {
            "folder": str(functions.resolve()),
            "file": function.file,
            "name": function.name,
            "parameters": self.run.parameters,
        }
        (self.path / "call.json").write_text(json.dumps(call))
        command = [runtime.python, "-u", str(_HERE / "call.py"), str(self.path / "call.json")]
        return Program(command=command, runtime=runtime, modules=functions.resolve())

    def _told(self, words: list[str]) -> list[str]:
        """Words of a command, with paths where they name inputs."""
        return [INPUT_REFERENCE.sub(lambda found: str(self.inputs[found[1]].path), word) for word in words]

    def environment(
        self,
        runtime: Runtime = OWN,
        *,
        is_own_user: bool = False,
        has_own_tmp: bool = False,
        capture: bool = False,
        secrets: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The process's whole environment.

        Args:
            is_own_user: it executes as a user that this machine has no name for.
            has_own_tmp: its `tmp` is its /tmp, a name short enough for sockets below it (107 bytes).
            capture: keep what it fits and does not save; a run may still say FITQ_CAPTURE=0 for itself.
            secrets: the values of those that it names. They are here and in no file.
        """
        run, outputs = self.run, str(self.code / "outputs")
        return {
            **runtime.variables(),
            **own_places(self.path / "home", self.tmp, is_own_user=is_own_user, has_own_tmp=has_own_tmp),
            "FITQ_CAPTURE": "1" if capture else "0",
            **run.environment_variables,
            **(secrets or {}),
            "PYTHONPATH": runtime.python_path,
            "FITQ_RUN_ID": run.id,
            "FITQ_RUN_FOLDER": str(self.path),
            "FITQ_EXPERIMENT": run.experiment,
            "FITQ_OUTPUTS": outputs,
            "AZUREML_RUN_ID": run.id,
            "AZUREML_EXPERIMENT_NAME": run.experiment,
            "AZUREML_ARM_PROJECT_NAME": run.experiment,
            "AZUREML_ARM_WORKSPACE_NAME": run.workspace,
            "FITQ_INPUTS": json.dumps({name: str(given.path) for name, given in self.inputs.items()}),
            **{f"FITQ_INPUT_{name.upper()}": str(given.path) for name, given in self.inputs.items()},
            **sagemaker_environment(run, outputs, {n: str(i.folder) for n, i in self.inputs.items()}),
        }


def fetch_snapshot(backend: Backend, sha256: str, folder: Path) -> None:
    """Unpack a snapshot into a folder that does not exist yet.

    Raises:
        NotFound: it is gone.
        UnsafeSnapshot: it would leave the folder.
        Unavailable: it did not arrive as it was kept; nothing is unpacked then.
    """
    known = backend.archives.get(sha256)
    if known is not None:
        unpack(io.BytesIO(known), folder)
        return
    pieces = open_checked(backend.objects, backend.keys.snapshot(sha256), sha256)
    if pieces is None:
        raise NotFound(f"Snapshot {sha256} is not in the object store any more.")
    with tempfile.SpooledTemporaryFile(_FEW_BYTES) as archive:
        for piece in pieces:
            archive.write(piece)
        size = archive.tell()
        archive.seek(0)
        unpack(cast(BinaryIO, archive), folder)
        if size <= _FEW_BYTES:
            archive.seek(0)
            backend.archives.put(sha256, archive.read())
