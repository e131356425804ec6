"""Scripts that print more than anybody can keep: worker, disk and Redis stay as they were, and it is said."""

from __future__ import annotations

from pathlib import Path

import psutil

from fitq import runs
from fitq.final_records import LOG_PATH
from fitq.records import RunStatus
from tests.conftest import eventually
from tests.faults.conftest import Field

LOG_BYTES = 200_000
#: Far below what is printed, far above what reading it in pieces takes.
MEMORY_BYTES = 60_000_000

FLOODS = """
import os, sys
def flood(piece, count):
    for _ in range(count): os.write(1, piece)
print("begun", flush=True)
flood(b"x" * 1_000_000, 100)                        # one line of 100 MB
flood(b"\\n" + b"a line of output\\n" * 60_000, 50)   # and 50 MB of lines
flood(b"\\r 50 % " * 125_000, 30)                    # a progress bar, as quick as it can
flood(b"\\x00\\xff\\x1b[2J\\xc3" * 125_000, 20)         # and bytes that are no text
print("\\nthe last words")
sys.exit("flooded")
"""

STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"begun\\n")
while True: os.write(1, b"y\\n" * 500_000)
"""


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def memory_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def test_a_flood_of_output_costs_neither_memory_nor_disk_and_the_run_goes_on(field: Field) -> None:
    worker = field.start_worker(warm_start=0, log_bytes=LOG_BYTES, run_disk_bytes=2_000_000)
    first = field.wait_until(field.submit("print('ready')"), RunStatus.COMPLETED)
    before = memory_bytes(worker.pid)
    ended = field.wait_until(field.submit(FLOODS), RunStatus.FAILED, seconds=90)
    assert peak_bytes(worker.pid) - before < MEMORY_BYTES
    assert ended.failure is not None
    assert "flooded" in ended.failure.message, "the reason is what it said last, not what there was room for"
    log = runs.read_log(field.backend, ended.id, 0, 10**7).data
    assert len(log) < LOG_BYTES + 200
    assert log.startswith(b"begun\nxxx")
    assert b"more bytes of output were not kept" in log[-200:]
    assert any("bytes of output were not kept" in w for w in ended.warnings)
    sizes = {a.path: a.size_bytes for a in runs.artifacts(field.backend, ended)}
    assert sizes == {LOG_PATH: len(log)}
    assert field.find(first).status is RunStatus.COMPLETED


def test_a_flood_that_does_not_stop_for_a_cancel_costs_no_memory(field: Field) -> None:
    worker = field.start_worker(warm_start=0, log_bytes=LOG_BYTES, grace_seconds=2.0)
    run = field.submit(STUBBORN)
    eventually(lambda: "begun" in field.log(run))
    before = memory_bytes(worker.pid)
    runs.cancel(field.backend, run.id)
    ended = field.wait_until(run, RunStatus.CANCELED)
    assert peak_bytes(worker.pid) - before < MEMORY_BYTES
    assert any("bytes of output were not kept" in w for w in ended.warnings)
    assert field.processes_of(run) == []
