"""Starts a program afresh, confined, and keeps its family.

Run as: launch.py WORKER_PID REPORT_FD PLAN FOLDER PROGRAM ARGS… with a plan as `confine.py` has it, in JSON.

On the descriptor it says `<pid>`, and when everything of the run has ended
`<wait status> <cpu seconds> <peak KiB> [<why it could not be confined>]`, a line each.

A program of its own because it must start quickly (`python -I -S`) and because a fork of the threaded
worker may run no Python of ours. Standard library only, any Python ≥ 3.6.
"""

import importlib
import json
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, List, NoReturn

if TYPE_CHECKING:
    from fitq.isolation import confine, family
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    family = importlib.import_module("family")
    confine = importlib.import_module("confine")


def main() -> None:
    worker, reports = int(sys.argv[1]), int(sys.argv[2])
    plan, folder, program = sys.argv[3], sys.argv[4], sys.argv[5:]
    family.end_with(worker)
    family.adopt_orphans()
    keeper = os.getpid()
    heard, problems = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reports)
        os.close(heard)
        become(program, keeper, plan, folder, problems)
    os.close(problems)
    family.say(reports, b"%d\n" % pid)
    let_go_of_all_but(reports, heard)
    kept = family.Family(pid)
    kept.problem = family.hear(heard)
    kept.see_through()
    family.say(reports, kept.report)


def become(program: List[str], keeper: int, plan: str, folder: str, problems: int) -> NoReturn:
    """Turn this process into the program, in its working folder."""
    os.setsid()
    family.die_with(keeper)
    family.be_no_keeper()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    for number in (signal.SIGPIPE, signal.SIGINT):  # whoever started the worker may have ignored it
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    confine.confine(json.loads(plan), problems)
    os.chdir(folder)  # again, by its name: the file system may look different now
    try:
        os.execvp(program[0], program)
    except OSError as exc:
        sys.stderr.write("cannot start %s: %s\n" % (program[0], exc.strerror))
        os._exit(127)


def let_go_of_all_but(*kept: int) -> None:
    """The run's output, and what else it was handed, ends with the run: nobody else holds it open."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in kept:
            try:
                os.close(number)
            except OSError:  # of the list itself
                pass


if __name__ == "__main__":
    main()
