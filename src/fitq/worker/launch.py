"""Becomes the user's program, after tying it to the worker. Run as: launch.py WORKER_PID PROGRAM ARGS…

A file of its own because it must start quickly (`python -I -S`) and because a fork of the threaded
worker may run no Python of ours. Standard library only, any Python ≥ 3.6.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    worker, program = int(sys.argv[1]), sys.argv[2:]
    # When the worker dies, however it dies, the run's process dies with it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker:  # it died before the line above
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    for number in (signal.SIGPIPE, signal.SIGINT):  # whoever started the worker may have ignored it
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(program[0], program)
    except OSError as exc:
        sys.stderr.write("cannot start %s: %s\n" % (program[0], exc.strerror))
        os._exit(127)


if __name__ == "__main__":
    main()
