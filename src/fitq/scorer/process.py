"""Starting and ending a scorer child: which environment it sees, which socket it holds, that it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

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


class ScorerProcess(NamedTuple):
    """A running child and our end of its socket."""

    process: subprocess.Popen[bytes]
    link: socket.socket

    def kill(self) -> None:
        """End the child and whatever it started; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.link.close()

    def how_it_ended(self) -> str:
        """For a message: the signal or exit code of a child that is gone."""
        try:
            code = self.process.wait(2)
        except subprocess.TimeoutExpired:
            return "it closed its socket"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What a child may know: where programs and libraries are, and to use one thread."""
    return {**{k: inherited[k] for k in _INHERITED if k in inherited}, **_ONE_THREAD}


def start(interpreter: str = sys.executable, memory_bytes: int = 0, program: Path = MODELS) -> ScorerProcess:
    """Start a child in a process group of its own. It ends when this thread or the socket does.

    Args:
        interpreter: any Python from 3.6 on, with numpy and joblib.
        memory_bytes: of its own that it may have at most; 0 for any amount.
        program: `MODELS` or `ENTRY`.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [interpreter, "-I", str(program), str(theirs.fileno()), str(os.getpid()), str(memory_bytes)],
            env=environment(os.environ),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ScorerProcess(process, ours)
