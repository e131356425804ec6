"""Starting and ending a scorer child: which environment it sees, which socket it holds, that it dies."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from fitq.errors import Unavailable
from fitq.isolation import launch
from fitq.scorer.confinement import NOT_CONFINED, Cell, Confinement

#: What a child runs: models by themselves, or one entry script with its model.
MODELS = Path(__file__).parent / "child" / "__main__.py"
ENTRY = Path(__file__).with_name("entry_child.py")
#: Azure's modules for entry scripts, as runs have them.
SHIMS = Path(__file__).parents[1] / "worker" / "shims"
#: All that a child inherits. A list of what may pass, so that no new secret ever slips through.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
#: One thread per library, set before it is imported: measured faster and far steadier on shared cores,
#: and per-call limits cost 1.8 ms each.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
_LAUNCH = Path(launch.__file__)
_SECONDS_TO_START = 30.0
#: From the end of a child to its keeper's report. It ends all that is left first.
_SECONDS_TO_REPORT = 2.0
_SECONDS_TO_DIE = 5.0
_SECONDS_TO_REPEAT = 0.1


class ScorerProcess:
    """A running child, the keeper that ends what it leaves behind, and our end of its socket."""

    def __init__(
        self, keeper: subprocess.Popen[bytes], link: socket.socket, reports: int, cell: Cell
    ) -> None:
        """`reports` is a descriptor that this object closes: what the keeper says, as `launch.py` has it."""
        self.link = link
        self._keeper, self._reports, self._cell = keeper, open(reports, "rb", buffering=0), cell  # noqa: SIM115
        self._said, self._hearing = b"", threading.Lock()

    @property
    def pid(self) -> int:
        """Of the child; of its keeper, as long as that has not said."""
        line, end, _ = self._said.partition(b"\n")
        return int(line) if end else self._keeper.pid

    @property
    def problem(self) -> str:
        """Why it could not be confined; then it executed nothing. Known once it has ended."""
        report = self._said.partition(b"\n")[2].split(maxsplit=3)
        return b"".join(report[3:]).decode("utf-8", "replace").strip()

    def wait_until_started(self) -> None:
        """Return when its process id is known, or it will never be."""
        self._hear(lines=1, seconds=_SECONDS_TO_START)

    def kill(self) -> None:
        """End the child and whatever it started; returns when all that is gone."""
        deadline = time.monotonic() + _SECONDS_TO_DIE
        while self._keeper.poll() is None and time.monotonic() < deadline:
            self._keeper.send_signal(signal.SIGHUP)  # its parent ends, for all that it knows
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(_SECONDS_TO_REPEAT)
        self._keeper.kill()  # it was stopped, or does not get done
        self._keeper.wait()
        self.link.close()
        with self._hearing:
            self._reports.close()
        self._removing = self._cell.remove()

    def wait_until_removed(self) -> None:
        """Return when also what it wrote is gone, once it was killed."""
        self._removing.join()

    def how_it_ended(self) -> str:
        """For a message: the signal or exit code of a child that is gone."""
        self._hear(lines=2, seconds=_SECONDS_TO_REPORT)
        if self.problem:
            return f"it could not be confined: {self.problem}"
        report = self._said.partition(b"\n")[2]
        if not report:
            return "it closed its socket"
        code = os.waitstatus_to_exitcode(int(report.split()[0]))
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _hear(self, *, lines: int, seconds: float) -> None:
        """Until the keeper has said so much, or ends, or the time is over."""
        deadline = time.monotonic() + seconds
        with self._hearing, selectors.DefaultSelector() as selector:
            if self._reports.closed:
                return
            selector.register(self._reports, selectors.EVENT_READ)
            while self._said.count(b"\n") < lines and selector.select(max(0.0, deadline - time.monotonic())):
                piece = self._reports.read(4096)
                if not piece:
                    return
                self._said += piece


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What a child may know: where programs and libraries are, and to use one thread."""
    return {**{k: inherited[k] for k in _INHERITED if k in inherited}, **_ONE_THREAD}


def start(
    interpreter: str = sys.executable,
    memory_bytes: int = 0,
    program: Path = MODELS,
    *,
    confinement: Confinement = NOT_CONFINED,
    reads: Iterable[Path] = (),
) -> ScorerProcess:
    """Start a child with a keeper, in a session of its own. It ends when this thread or the socket does.

    Args:
        interpreter: any Python from 3.6 on, with numpy and joblib.
        memory_bytes: of its own that it may have at most; 0 for any amount.
        program: `MODELS` or `ENTRY`.
        reads: files and folders that it needs, wherever they lie.

    Raises:
        Unavailable: it cannot be started now.
    """
    with contextlib.ExitStack() as undo:
        try:
            cell = confinement.cell(interpreter, reads)
            undo.callback(cell.remove)
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                reports, says = os.pipe()
                undo.callback(os.close, reports)
                try:
                    keeper = subprocess.Popen(
                        [
                            *[sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(says)],
                            *[json.dumps(cell.plan), cell.starts_in],
                            *[interpreter, "-I", str(program), str(theirs.fileno()), str(memory_bytes)],
                        ],
                        env={**environment(os.environ), **cell.variables},
                        stdin=subprocess.DEVNULL,
                        pass_fds=[theirs.fileno(), says],
                        start_new_session=True,
                    )
                finally:
                    os.close(says)
        except OSError as exc:
            raise Unavailable(f"No scorer can be started now: {exc}.", reason="scorer_start") from exc
        undo.pop_all()
    return ScorerProcess(keeper, ours, reports, cell)
