"""The warm parent: has scikit-learn imported, forks one run after the other, and keeps its family.

Run as: python -u warm.py WORKER_PID SOCKET_FD, with the environment every run gets and no credential in
it. On the socket (SOCK_SEQPACKET) it says `ready` once. Each message to it is one request:

    {"argv": [script, argument…], "cwd": …, "environment": {…}, "modules": the folder the script imports from,
     "plan": what `isolation/confine.py` does}

with two descriptors: the run's stdout and stderr, and a pipe on which it says `<pid>`, and when everything of
the run has ended `<wait status> <cpu seconds> <peak KiB> [<why it is not confined>]`, a line each. A pipe
that closes earlier says that it died. It keeps one run at a time: all that descends from it is that run's
(see `isolation/family.py`).

It only ever imports: a library that has computed before a fork may hang after it (OpenMP does). What a run
asks for that was decided when this interpreter started (PYTHONHASHSEED, OMP_NUM_THREADS, a file of its own
named as an imported module, a script that does not compile) is left to a fresh one: the child becomes it.

Standard library only, any Python ≥ 3.6.
"""

import array
import builtins
import ctypes
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NoReturn, Optional, Set, Tuple

if TYPE_CHECKING:
    from fitq.isolation import confine, family
    from fitq.worker import ending
else:
    _here = os.path.dirname(os.path.abspath(__file__))
    _folders = [os.path.join(os.path.dirname(_here), "isolation"), _here]
    sys.path[:0] = _folders
    family, confine = importlib.import_module("family"), importlib.import_module("confine")
    ending = importlib.import_module("ending")
    del sys.path[: len(_folders)]
    for _name in ("family", "confine", "landlock", "mounts", "ending"):  # a user's module may be called so
        del sys.modules[_name]

NOTHING_TO_WARM = 3  #: exit code: without scikit-learn there is nothing to save
_PR_SET_DUMPABLE = 4
_MADV_COLLAPSE, _LARGE_PAGE = 25, 2 << 20
_REQUEST_BYTES = 1 << 18

MODULES = (
    "argparse csv glob logging multiprocessing concurrent.futures pathlib pickle random tempfile typing "
    "joblib numpy pandas threadpoolctl scipy.linalg scipy.optimize scipy.sparse scipy.stats "
    "sklearn.calibration sklearn.cluster sklearn.compose sklearn.datasets sklearn.decomposition "
    "sklearn.ensemble sklearn.feature_extraction.text sklearn.feature_selection sklearn.impute "
    "sklearn.linear_model sklearn.metrics sklearn.model_selection sklearn.multiclass sklearn.naive_bayes "
    "sklearn.neighbors sklearn.neural_network sklearn.pipeline sklearn.preprocessing sklearn.svm "
    "sklearn.tree fitq.context fitq.signature fitq_capture fitq_figures"
).split()
#: Variables read when the interpreter or a library starts. A run that wants others starts afresh.
_READ_AT_START = (
    "PYTHON LD_ LC_ LANG MALLOC_ GLIBC_ OMP_ GOMP_ KMP_ OPENBLAS_ GOTO_ MKL_ BLIS_ VECLIB_ NUMEXPR_ NPY_ "
    "NUMPY_ SCIPY_ SKLEARN_ JOBLIB_ LOKY_ PANDAS_"
).split()

_libc = ctypes.CDLL(None)
_STARTED_WITH = dict(os.environ)  # libraries add to it when they are imported
_imported: Set[str] = set()  # top-level names; a child that goes through `sys.modules` copies its pages


# --- the parent ---------------------------------------------------------------------------------


def prepare(worker: int) -> None:
    """Tie this process to the worker and set what every run inherits."""
    family.end_with(worker)
    family.adopt_orphans()
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # what one run asked for is none of another's business
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a supervisor may have ignored it
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)  # what Python compiles meanwhile is for every run, which may be another user


def warm_up() -> "ending.Ending":
    """Import what training usually imports; how a script's process ends after that."""
    if not _is_imported("sklearn"):
        os._exit(NOTHING_TO_WARM)
    for name in MODULES:
        _is_imported(name)
    if threading.active_count() != 1:
        raise SystemExit("importing started threads: %s" % threading.enumerate())
    if "fitq_capture" in sys.modules:
        sys.modules["fitq_capture"].prepare()
    _imported.update(name.partition(".")[0] for name in sys.modules)
    end = ending.Ending()
    gc.collect()
    if sys.version_info >= (3, 7):
        gc.freeze()  # or the first collection in each child would copy every page
    _use_large_pages()
    os.umask(0o077)
    return end


def _use_large_pages() -> None:
    """Gather this process's memory in large pages: a fork copies one entry for each instead of 512.

    Kernels before 6.1 do not know how, and nothing changes.
    """
    with open("/proc/self/maps") as file:
        areas = [line.split() for line in file]
    for area in areas:
        if area[1] == "rw-p" and area[5:] in ([], ["[heap]"]):
            start, end = (int(number, 16) for number in area[0].split("-"))
            start, end = -(-start // _LARGE_PAGE) * _LARGE_PAGE, end // _LARGE_PAGE * _LARGE_PAGE
            if start < end:
                _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)


def _is_imported(name: str) -> bool:
    """Whether a module could be had. Packages that do not fit each other fail in many ways; a script that
    wants them fails by itself. What training functions need is newer than some Pythons of scripts."""
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


class Request:
    """What a forked child is to become. `data` is the request's JSON."""

    def __init__(self, data: bytes, output: int, parent: int, problems: int) -> None:
        self.data, self.output, self.parent, self.problems = data, output, parent, problems


def serve(control: socket.socket) -> Request:
    """See run after run through until the worker is gone. Returns only in a child."""
    buffer, shared_kib = bytearray(_REQUEST_BYTES), _own_memory_kib()
    ahead = Ahead(control, buffer)
    while ahead.request is None:
        size, (output, pipe) = _receive(control, buffer, 2)
        asked = memoryview(buffer)[:size]  # never a copy: the next child could read what is freed
        is_taken = ahead.take(asked, output)
        if not is_taken:  # something killed it while it waited
            ahead = Ahead(control, buffer)
            is_taken = ahead.request is None and ahead.take(asked, output)
        if ahead.request is not None:
            break
        buffer[:size] = bytes(size)  # what a run is told is never in what keeps it, nor in the next one
        if is_taken:
            _see_through(ahead, pipe, shared_kib)
        os.close(output)
        os.close(pipe)  # a worker that heard no process id on it starts the run itself
        ahead = Ahead(control, buffer)
    return ahead.request


def _see_through(run: "Ahead", pipe: int, shared_kib: int) -> None:
    family.say(pipe, b"%d\n" % run.pid)
    kept = family.Family(run.pid, shared_kib)
    kept.problem = family.hear(run.heard)
    kept.see_through()
    family.say(pipe, kept.report)


class Ahead:
    """A fork that waits for its run, so that no run waits for a fork.

    Made only when nothing of the run before is left: all other children of this process are a run's.
    """

    request = None  # type: Optional[Request]  #: in the child, which returns from here when it has one

    def __init__(self, control: socket.socket, buffer: bytearray) -> None:
        parent = os.getpid()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.heard, problems = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            self.pid = -1
        if self.pid == 0:
            family.die_with(parent)
            family.be_no_keeper()
            control.close()
            self._line.close()
            size, (output,) = _receive(theirs, buffer, 1)
            self.request = Request(bytes(buffer[:size]), output, parent, problems)
        theirs.close()
        if self.pid:
            os.close(problems)

    def take(self, data: memoryview, output: int) -> bool:
        """Whether the child lives and is this run now."""
        passed = array.array("i", [output])
        with self._line:
            try:
                self._line.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
                return True
            except OSError:  # of a fork that failed too: nobody has the other end
                os.close(self.heard)
        if self.pid > 0:
            os.waitpid(self.pid, 0)
        return False


def _own_memory_kib() -> int:
    """What every fork has from this process: a fork maps files anew, when it needs them."""
    with open("/proc/self/statm") as file:
        _, resident, of_files = file.read().split()[:3]
    return (int(resident) - int(of_files)) * os.sysconf("SC_PAGE_SIZE") // 1024


def _receive(line: socket.socket, buffer: bytearray, count: int) -> Tuple[int, List[int]]:
    """One request: its size and its descriptors. What is not one is passed over."""
    while True:
        descriptors = array.array("i")
        size, ancillary, flags, _ = line.recvmsg_into([buffer], socket.CMSG_SPACE(2 * descriptors.itemsize))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if size == 0 and not descriptors:
            os._exit(0)  # whoever asked is gone; so are children of this process, by their parent's death
        if len(descriptors) == count and not flags & socket.MSG_TRUNC:
            return size, descriptors.tolist()
        for descriptor in descriptors:
            os.close(descriptor)


# --- the child ----------------------------------------------------------------------------------


def become(request: Request) -> Tuple[types.CodeType, Dict[str, Any]]:
    """Make this fork what `python -u script argument…` would be; the script's code and namespace."""
    os.setsid()
    family.die_with(request.parent)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    _keep_only(request.output, request.problems)
    asked = json.loads(request.data.decode())
    argv, environment = asked["argv"], asked["environment"]
    confine.confine(asked["plan"], request.problems)
    os.chdir(asked["cwd"])
    code = None if _needs_fresh_start(asked) else _compiled(argv[0])
    if code is None or not _take_environment(environment):
        return _start_afresh(argv, environment)
    _forget_the_parent()
    _capture(environment)
    sys.argv = argv
    sys.orig_argv = [sys.executable, "-u"] + argv
    sys.path.insert(0, os.path.dirname(os.path.realpath(argv[0])))
    return code, _main_module(code.co_filename).__dict__


def _capture(environment: Mapping[str, str]) -> None:
    """What `sitecustomize` does in a fresh interpreter."""
    capture = sys.modules.get("fitq_capture")
    if capture is None:
        return
    if environment.get("FITQ_CAPTURE") == "1":
        capture.install(
            os.path.join(environment["FITQ_RUN_FOLDER"], "captured"), environment.get("FITQ_OUTPUTS")
        )
    else:
        capture.withdraw()


def _keep_only(output: int, problems: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != problems:
            try:
                os.close(int(name))
            except OSError:
                pass  # that of the listing itself


def _compiled(script: str) -> Optional[types.CodeType]:
    """The script's code; None if it has none, which Python itself explains best."""
    path = os.path.join(os.getcwd(), script) if sys.version_info >= (3, 9) else script
    try:
        with open(script, "rb") as file:
            source = file.read()
        importlib.util.decode_source(source)  # `compile` lets bad bytes in comments pass
        return compile(source, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _needs_fresh_start(asked: Dict[str, Any]) -> bool:
    """Whether what the run asks for was decided when this interpreter started."""
    argv, environment = asked["argv"], asked["environment"]
    if not argv[0].endswith(".py") or argv[0].startswith("-"):
        return True  # an archive, a folder, an option
    if _read_at_start(environment) != _read_at_start(_STARTED_WITH):
        return True
    folders = {os.path.dirname(os.path.realpath(argv[0])), asked["modules"]}
    return any(_shadows(folder) for folder in folders)


def _read_at_start(environment: Mapping[str, str]) -> Dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(tuple(_READ_AT_START))}


def _shadows(folder: str) -> bool:
    """Whether a folder has a module of its own under the name of one that is imported already."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in names:
        if name.partition(".")[0] in _imported:
            path = os.path.join(folder, name)
            if not os.path.isdir(path) or os.path.exists(os.path.join(path, "__init__.py")):
                return True
    return False


def _take_environment(environment: Mapping[str, str]) -> bool:
    """Replace the environment, also as others see it in /proc; False if it does not fit there.

    The worker knows the processes of a run by it, so forks of this one must carry it.
    """
    start, end = _environment_area()
    data = b"".join(os.fsencode("%s=%s" % pair) + b"\0" for pair in environment.items())
    if len(data) >= end - start:
        return False
    os.environ.clear()
    os.environ.update(environment)
    ctypes.memmove(start, data.ljust(end - start, b"\0"), end - start)
    return True


def _environment_area() -> Tuple[int, int]:
    """Where in memory the strings lie that this process was started with."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[47]), int(fields[48])


def _start_afresh(argv: List[str], environment: Mapping[str, str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(sys.executable, [sys.executable, "-u"] + argv, dict(environment))


def _forget_the_parent() -> None:
    """What libraries decided or drew by lot when they were imported must not be shared by runs."""
    time.tzset()
    sys.modules["random"].seed()
    vars(sys.modules["tempfile"])["tempdir"] = None
    sys.modules["warnings"].onceregistry.clear()
    process = sys.modules["multiprocessing.process"]
    vars(process)["ORIGINAL_DIR"] = os.getcwd()
    process.current_process().authkey = os.urandom(32)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _main_module(path: str) -> types.ModuleType:
    """`__main__`, as Python makes it for a script."""
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __annotations__={},
        __builtins__=builtins,
        __cached__=None,
        __file__=path,
        __loader__=importlib.machinery.SourceFileLoader("__main__", path),
    )
    sys.modules["__main__"] = main
    return main


def run(request: Request, at_end: "ending.Ending") -> None:
    """The script, and its end. One that failed is left to the interpreter, which has something to say."""
    code, namespace = become(request)
    exit_code = 0
    try:
        exec(code, namespace)
    except SystemExit as exc:
        simple = ending.code_of(exc)
        if simple is None:
            raise
        exit_code = simple
    except BaseException:
        sys.excepthook = _without_our_frames(sys.excepthook)
        raise
    del code, namespace
    at_end.end(exit_code)
    raise SystemExit(exit_code)


def _without_our_frames(shown: Callable[..., Any]) -> Callable[..., Any]:
    def hook(kind: Any, value: BaseException, trace: Optional[types.TracebackType]) -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        shown(kind, value.with_traceback(trace), trace)

    return hook


if __name__ == "__main__":
    sys.path.pop(0)  # our own folder is not the user's
    prepare(int(sys.argv[1]))
    _control = socket.socket(fileno=int(sys.argv[2]))
    _ending = warm_up()
    _control.send(b"ready")
    _main = sys.modules["__main__"]  # kept: what runs below are its functions
    run(serve(_control), _ending)
