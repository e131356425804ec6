"""What a run started and let go of ends with its worker as well."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from fitq.isolation.groups import find_groups
from tests.conftest import eventually
from tests.faults.conftest import Field

# Two forks, a session of its own and an empty environment: nothing of it says whose it is.
LEAVES_A_DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        code = "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); time.sleep(1000)"
        os.execve(sys.executable, [sys.executable, "-S", "-c", code], {})
    os._exit(0)
os.wait()
time.sleep(1000)
"""


@pytest.mark.parametrize("warm_start", [0, 1], ids=["cold", "warm"])
def test_a_daemon_of_a_run_ends_with_a_worker_that_is_killed(field: Field, warm_start: int) -> None:
    worker = field.start_worker(warm_start=warm_start)
    if warm_start:
        eventually(lambda: "warm_start_ready" in (field.folder / "worker0.log").read_text())
    run = field.submit(LEAVES_A_DAEMON)
    eventually(lambda: field.log(run).endswith("\n"), what="the daemon says who it is")
    daemon = psutil.Process(int(field.log(run).split()[1]))
    try:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        eventually(lambda: not field.processes_of(run), seconds=20, what="the script is gone")
        eventually(lambda: not lives(daemon), seconds=20, what="its daemon is gone")
    finally:
        if lives(daemon):
            daemon.kill()


def test_a_daemon_that_lost_its_keeper_too_ends_when_another_worker_looks(
    field: Field, tmp_path: Path
) -> None:
    """As the kernel's out-of-memory killer may do: nobody that could end it is left."""
    if find_groups() is None:
        pytest.skip("this machine lets nobody make control groups")
    work = tmp_path / "shared-work"
    worker = field.start_worker(warm_start=0, work_dir=work)
    run = field.submit(LEAVES_A_DAEMON)
    eventually(lambda: field.log(run).endswith("\n"), what="the daemon says who it is")
    daemon = psutil.Process(int(field.log(run).split()[1]))
    keeper = eventually(lambda: keeper_of(daemon, worker.pid), what="a keeper has the daemon")
    try:
        keeper.suspend()
        worker.kill()
        worker.wait()
        keeper.kill()
        assert lives(daemon)
        field.start_worker(warm_start=0, work_dir=work)
        eventually(lambda: not lives(daemon), seconds=20, what="the daemon is gone")
    finally:
        if lives(daemon):
            daemon.kill()


def keeper_of(daemon: psutil.Process, worker: int) -> psutil.Process | None:
    parent = daemon.parent()
    return parent if parent is not None and parent.ppid() == worker else None


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
