"""Become another program, having asked the kernel to end it when the process that started us ends.

Run as a script: `python launch.py SIGNAL PARENT_PID PROGRAM ARGUMENTS…`. A program of its own instead
of a `preexec_fn`, because nothing but exec is safe in a child forked from a process with threads.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    signal_number, parent, *command = sys.argv[1:]
    if sys.platform == "linux":  # elsewhere the supervisor's own clean-up has to do
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before we asked
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


main()
