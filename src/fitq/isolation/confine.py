"""The last steps of a process of ours before it becomes a run: it gives up what runs may not have.

A *plan* says which steps (`ladder.py` makes it). A step that fails ends the process: what is recorded on
the run as its isolation is what it had. The keeper hears why by a pipe that nothing of the run's ever has,
so that no script can claim it. Standard library only, any Python ≥ 3.6.

    {"groups": [files to write one's id to], "cpus": [numbers], "limits": {"RLIMIT_…": number},
     "mounts": null or {"privileged", "hidden", "shown", "writable", "scratch"}, "user": null or number,
     "gives_output": whether its output is that user's, "privileges": whether to drop them,
     "landlock": null or {"readable", "writable", "hidden"}}
"""

import ctypes
import importlib
import os
import resource
import signal
import stat
import sys
from typing import TYPE_CHECKING, Any, Mapping

if TYPE_CHECKING:
    from fitq.isolation import landlock, mounts
else:
    landlock = importlib.import_module("landlock")
    mounts = importlib.import_module("mounts")

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 38, 47
_CLEAR_ALL, _CAPABILITIES_VERSION_3 = 4, 0x20080522
#: Of two processes the kernel ends this one when memory runs out, not the worker.
_ENDED_FIRST = b"500"

_libc = ctypes.CDLL(None, use_errno=True)


def confine(plan: Mapping[str, Any], problems: int) -> None:
    """Take every step of a plan and close `problems`; or say there, and on stderr, why not, and end."""
    keeper = os.getppid()
    try:
        _take_steps(plan)
    except Exception as exc:  # whichever: what is not as it was planned must not run
        reason = ("%s: %s" % (type(exc).__name__, exc))[:1000]
        os.write(problems, reason.encode("utf-8", "replace"))
        sys.stderr.write("cannot confine the run: %s\n" % reason)
        sys.stderr.flush()
        os._exit(126)
    os.close(problems)
    # The kernel forgets both when a process changes its user.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(1)


def _take_steps(plan: Mapping[str, Any]) -> None:
    with open("/proc/self/oom_score_adj", "rb") as score:
        is_spared = int(score.read()) < int(_ENDED_FIRST)
    if is_spared:
        _write("/proc/self/oom_score_adj", _ENDED_FIRST)
    for file in plan["groups"]:
        _write(file, b"0")
    if plan["cpus"]:
        os.sched_setaffinity(0, plan["cpus"])
    for name, most in plan["limits"].items():
        limit = getattr(resource, name)
        resource.setrlimit(limit, _no_higher(most, resource.getrlimit(limit)[1]))
    view = plan["mounts"]
    if view is not None:
        mounts.enter(view["privileged"], view["hidden"], view["shown"], view["writable"], view["scratch"])
    if plan["user"] is not None:
        if plan["gives_output"]:
            _give_output(plan["user"])
        _become_user(plan["user"])
    if plan["privileges"]:
        _drop_privileges()
    rules = plan["landlock"]
    if rules is not None:
        landlock.restrict(rules["readable"], rules["writable"], rules["hidden"])


def _no_higher(most: int, ceiling: int) -> Any:
    most = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
    return most, most


def _give_output(user: int) -> None:
    for output in (1, 2):  # a pipe can be opened by name, /dev/stdout, only by whom it belongs to
        if stat.S_ISFIFO(os.fstat(output).st_mode):
            os.fchown(output, user, user)


def _become_user(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _drop_privileges() -> None:
    """No capability now, and none by starting a program."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _write(path: str, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))
