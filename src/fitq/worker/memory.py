"""How much memory processes use together, pages that they share counted once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil


def memory_of(processes: Iterable[psutil.Process]) -> int:
    """Bytes: the sum of the processes' proportional set sizes.

    A fork shares most pages with its parent. The sum of resident sizes would count them once per process
    and end a run with many workers for memory that the machine does not miss.
    """
    return sum(map(_proportional_bytes, processes))


def _proportional_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_bytes().splitlines()
        return int(next(line for line in lines if line.startswith(b"Pss:")).split()[1]) * 1024
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
