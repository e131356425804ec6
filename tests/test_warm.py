# ruff: noqa: E501  the table reads best with one script per line
"""A run that starts as a fork of the warm parent is what `python -u script.py` would have been."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fitq.isolation.ladder import UNCONFINED
from fitq.worker.folder import Program
from fitq.worker.forked import ForkedProcess
from fitq.worker.process import ColdProcess, RunProcess
from fitq.worker.runtime import OWN, Runtime
from fitq.worker.starter import Starter, WarmParent
from tests.conftest import eventually, starters

PLAN = UNCONFINED  #: what is compared here is how it starts
ARGUMENTS = ["--penalty", "1.0", "ä"]
MAIN = "\nif __name__ == '__main__':\n    "
#: Everything a script can see or do that differs when something else than Python started it.
SCRIPTS = {
    "argv and paths": "import sys, os\nprint(sys.argv, __name__, __file__, sys.path, os.getcwd(), sys.flags)",
    "its module": "import sys\nprint(sorted(globals()), __spec__, __package__, sys.modules['__main__'].__file__)",
    "own modules": "import helper\nprint(helper.WHAT, helper.__file__)",
    "the environment": "import os\nprint(sorted(os.environ.items()))\nos.system('env | sort | grep -v ^_=')",
    "the environment in proc": "print(sorted(open('/proc/self/environ').read().strip('\\0').split('\\0')))",
    "pickles its classes": (
        "import pickle, sys\nclass Mine:\n    x = 1\n"
        "data = pickle.dumps(Mine())\nprint(data, pickle.loads(data).x, Mine.__module__)"
    ),
    "exits with a number": "import sys; sys.exit(7)",
    "exits with a sentence": "raise SystemExit('that was it')",
    "exits with nothing": "print('x'); raise SystemExit",
    "raises": "def f(n):\n    return 1 / n\ntry:\n    f(0)\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
    "raises a group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    "does not compile": "print('a')\ndef broken(:",
    "is not UTF-8": b"# caf\xe9\nprint('x')",
    "has a declared encoding": "# -*- coding: latin-1 -*-\nprint('ä')".encode("latin-1"),
    "has its own excepthook": "import sys\nsys.excepthook = lambda t, v, tb: print('mine', t, tb.tb_lineno)\n1/0",
    "is interrupted": "import signal; signal.raise_signal(signal.SIGINT)",
    "is terminated": "import signal; signal.raise_signal(signal.SIGTERM)",
    "writes to a closed pipe": (
        "import os, signal\nr, w = os.pipe(); os.close(r)\n"
        "try:\n    os.write(w, b'x')\nexcept BrokenPipeError:\n    print('told')"
    ),
    "signals as usual": (
        "import signal\nprint([(s.name, str(signal.getsignal(s)).split(' at ')[0]) for s in signal.Signals])\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    ),
    "leaves a thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.2), print('late'))).start()",
    "a thread raises": "import threading\ndef f(): raise ValueError('in a thread')\nt = threading.Thread(target=f, name='T')\nt.start(); t.join()",
    "atexit": "import atexit\natexit.register(print, 'first registered')\natexit.register(print, 'last')\nprint('end')",
    "destructors at exit": "class Last:\n    def __del__(self): print('gone')\nkept = Last()\nf = open('left-open', 'w'); f.write('x')",
    "exits with True": "import sys; sys.exit(True)",
    "exits with a large number": "import sys; sys.exit(2**40 + 3)",
    "exits with a negative number": "import sys; sys.exit(-2)",
    "exits with a tuple": "import sys; sys.exit((1, 2))",
    "exits inside a function that holds things": (
        "class Last:\n    def __del__(self): print('gone')\ndef main():\n    kept = Last()\n    raise SystemExit(3)\nmain()"
    ),
    "atexit raises": "import atexit\natexit.register(lambda: 1/0)\natexit.register(print, 'before')\nprint('end')",
    "atexit exits": "import atexit, sys\natexit.register(lambda: sys.exit(5))\nprint('end')",
    "a finalizer": "import weakref\nclass Kept: pass\nkept = Kept()\nweakref.finalize(kept, print, 'finalized')",
    "a destructor raises": "kept = type('Last', (), {'__del__': eval('lambda self: 1/0')})()",
    "a destructor uses what is there": (
        "import json, sys\nWORD = 'w'\nclass Last:\n    def __init__(self): self.me = self\n"
        "    def __del__(self): print(WORD, json is None, sys.argv)\nkept = Last()"
    ),
    "destructors in order": (
        "class Last:\n    def __init__(self, n): self.n = n\n    def __del__(self): print(self.n)\n"
        "a, _b, c = Last('a'), Last('_b'), Last('c')\na.other = c\nc.other = a\ndef f(): return a"
    ),
    "a destructor in a module of its own": (
        "import helper\nclass Last:\n    def __del__(self): print('gone', helper.WHAT)\nhelper.kept = Last()"
    ),
    "a destructor kept by a library": (
        "import json, sklearn\nclass Last:\n    def __del__(self): print('gone')\nsklearn.kept = Last()\njson.kept = [Last()]"
    ),
    "a destructor kept by a hook": (
        "import sys\nclass Last:\n    def __del__(self): print('gone')\n    def __call__(self, *_): pass\nsys.excepthook = Last()"
    ),
    "a file kept by a library": "import json\njson.kept = open('left-open', 'w'); json.kept.write('x' * 10)",
    "a file in a module of its own": "import helper\nhelper.kept = open('left-open', 'w'); helper.kept.write('x' * 10)",
    "stdout is a file": "import sys\nsys.stdout = open('left-open', 'w'); print('kept')",
    "stdout is a tee": (
        "import sys\nclass Tee:\n    def __init__(self): self.file, self.out = open('left-open', 'w'), sys.stdout\n"
        "    def write(self, text): self.file.write(text); self.out.write(text)\n"
        "    def flush(self): self.out.flush()\nsys.stdout = Tee()\nprint('both')"
    ),
    "stdout cannot be flushed": (
        "import sys\nclass Bad:\n    def write(self, text): pass\n    def flush(self): raise OSError('full')\nsys.stdout = Bad()"
    ),
    "stdout is closed": "import sys; sys.stdout.close()",
    "stdout is gone": "import sys; sys.stdout = None; del sys.stderr",
    "a generator is not finished": "def f():\n    try:\n        yield 1\n    finally:\n        print('closed')\ng = f(); next(g)",
    "a daemon thread prints": (
        "import threading, time\ndef f():\n    while True: time.sleep(.001); str(threading)\n"
        "for _ in range(5): threading.Thread(target=f, daemon=True).start()\ntime.sleep(.05); print('end')"
    ),
    "an executor still works": (
        "import sys, time\nfrom concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)\n"
        "def f(n): time.sleep(.2); sys.stdout.write('late\\n')\nfor n in range(2): pool.submit(f, n)\nprint('end')"
    ),
    "is interrupted while it waits for a thread": (
        "import signal, threading, time\nmain = threading.main_thread().ident\n"
        "def f(): time.sleep(.3); signal.pthread_kill(main, signal.SIGINT); time.sleep(.3)\n"
        "threading.Thread(target=f).start()\nprint('end')"
    ),
    "a pool that nobody closed": (
        "import multiprocessing as mp" + MAIN + "pool = mp.get_context('fork').Pool(2); print(pool.map(abs, [-1]))"
    ),
    "a temporary folder": "import tempfile, os\nd = tempfile.TemporaryDirectory()\nopen(os.path.join(d.name, 'x'), 'w').close()",
    "its log is shut down": (
        "import logging, logging.handlers\nh = logging.handlers.MemoryHandler(99, target=logging.FileHandler('left-open'))\n"
        "logging.getLogger().addHandler(h); logging.getLogger().warning('kept')"
    ),
    "C prints": "import ctypes; ctypes.CDLL(None).printf(b'from C')",
    "a fork of its own ends": (
        "import os, atexit\natexit.register(print, 'twice')\npid = os.fork()\n"
        "if pid: os.waitpid(pid, 0)\nclass Last:\n    def __del__(self): print('gone', pid == 0)\nkept = Last()"
    ),
    "a signal handler keeps something": (
        "import signal\nclass Last:\n    def __del__(self): print('gone')\nkept = Last()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: kept)"
    ),
    "something else in a module's place": (
        "import sys, types\nclass Odd(types.ModuleType):\n    __slots__ = ()\nclass Odder:\n    __slots__ = ()\n"
        "    def __del__(self): print('gone')\nsys.modules['odd'], sys.modules['odder'] = Odd('odd'), Odder()\n"
        "sys.modules['none'] = None"
    ),
    "it imports cffi": "import _cffi_backend, cryptography.hazmat.bindings._rust\nprint('x')",
    "it imports more": "import sqlite3, xml.dom.minidom, asyncio\nprint(asyncio.run(asyncio.sleep(0, 'done')))",
    "unbuffered and merged": "import sys, os\nprint('a', end='')\nprint('b', file=sys.stderr, end='')\nos.write(1, b'c')\nprint('d')",
    "reads stdin": "import sys\nprint(repr(sys.stdin.read()), sys.stdout.encoding, sys.stdout.line_buffering)",
    "descriptors": "import os\nprint(sorted(os.listdir('/proc/self/fd'))[:3], os.path.exists('/proc/self/fd/5'))",
    "limits": "import os, resource\nprint(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE), os.getsid(0) == os.getpid() == os.getpgid(0))",
    "warnings": (
        "import warnings, sklearn.linear_model\nwarnings.warn('one')\nwarnings.warn('two', DeprecationWarning)\n"
        "warnings.warn('three', PendingDeprecationWarning)\nimport numpy as np\nnp.float64(1) / np.float64(0)"
    ),
    "the time zone": "import time\nprint(time.tzname)",
    "multiprocessing fork": "import multiprocessing as mp\ndef f(x): return x * x" + MAIN + "print(mp.get_context('fork').Pool(2).map(f, range(4)))",
    "multiprocessing spawn": "import multiprocessing as mp\ndef f(x): return x * x" + MAIN + "print(mp.get_context('spawn').Pool(2).map(f, range(4)))",
    "multiprocessing forkserver": "import multiprocessing as mp\ndef f(x): return x * x" + MAIN + "print(mp.get_context('forkserver').Pool(2).map(f, range(4)))",
    "joblib": "from joblib import Parallel, delayed\ndef f(x): return x * x" + MAIN + "print(Parallel(n_jobs=2)(delayed(f)(n) for n in range(4)))",
    "BLAS": "import numpy as np\nx = np.ones((600, 600))\nprint((x @ x).sum(), np.linalg.eigvalsh(np.eye(50)).sum())",
    "OpenMP": (
        "from sklearn.datasets import load_iris\nfrom sklearn.ensemble import HistGradientBoostingClassifier\n"
        "x, y = load_iris(return_X_y=True)\n"
        "print(HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(x, y).score(x, y))"
    ),
    "a forest with n_jobs": (
        "from sklearn.datasets import load_iris\nfrom sklearn.ensemble import RandomForestClassifier\n"
        "x, y = load_iris(return_X_y=True)\n"
        "print(RandomForestClassifier(10, n_jobs=2, random_state=0).fit(x, y).score(x, y))"
    ),
}  # fmt: skip


class Place:
    """A folder with a script, and the two ways to run it."""

    def __init__(self, folder: Path, starter: Starter) -> None:
        self.folder, self.starter = folder, starter
        (folder / "helper.py").write_text("WHAT = 'sibling'")
        self.environment = {
            **OWN.variables(),
            "FITQ_RUN_ID": "warm-1",
            "MINE": "ä=given",
            "TZ": "Asia/Tokyo",
            "TMPDIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        del self.environment["PYTHONDONTWRITEBYTECODE"]

    def write(self, code: str | bytes, name: str = "train.py") -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(code if isinstance(code, bytes) else code.encode())
        return path

    def plainly(self, name: str = "train.py") -> tuple[str, int]:
        """Merged output and exit code under `python -u`, with what every run is given."""
        done = subprocess.run(
            [sys.executable, "-u", name, *ARGUMENTS],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            preexec_fn=_no_core,
            timeout=60,
            check=False,
        )
        return shown(done.stdout), done.returncode

    def start(self, name: str = "train.py") -> RunProcess:
        command = [sys.executable, "-u", name, *ARGUMENTS]
        program = Program(command=command, modules=(self.folder / name).parent)
        return self.starter.start(program, cwd=self.folder, environment=self.environment, plan=PLAN)

    def warmly(self, name: str = "train.py") -> tuple[str, int]:
        process = self.start(name)
        assert isinstance(process, ForkedProcess)
        return self.end_of(process)

    @staticmethod
    def end_of(process: RunProcess) -> tuple[str, int]:
        pieces: list[bytes] = []
        while not process.poll():
            pieces.append(process.read(0.05))
        process.sweep(pieces.append)
        assert process.exit_code is not None
        return shown(b"".join(pieces)), process.exit_code


def shown(output: bytes) -> str:
    """As text, without the addresses of objects."""
    return re.sub("0x[0-9a-f]{6,}", "0x…", output.decode())


def _no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    yield from starters(warm=True)


@pytest.fixture
def place(starter: Starter, tmp_path: Path) -> Place:
    eventually(lambda: starter.warm_parent, what="a warm parent")
    return Place(tmp_path, starter)


@pytest.mark.parametrize("what", SCRIPTS)
def test_it_is_as_under_python(place: Place, what: str) -> None:
    place.write(SCRIPTS[what])
    expected = place.plainly()
    left_open = place.folder / "left-open"
    before = left_open.read_text() if left_open.exists() else None
    left_open.unlink(missing_ok=True)
    assert place.warmly() == expected
    assert (left_open.read_text() if left_open.exists() else None) == before


@pytest.mark.parametrize("name", ["./train.py", "sub/train.py", "sub/../sub/train.py", "missing.py"])
def test_however_the_script_is_named(place: Place, name: str) -> None:
    code = "import sys\nprint(sys.argv, __file__, sys.path[0])\n1/0"
    place.write(code)
    place.write(code, "sub/train.py")
    assert place.warmly(name) == place.plainly(name)


def test_it_starts_without_importing_anything_again(place: Place) -> None:
    place.write("import sys\nprint('sklearn.ensemble' in sys.modules, 'pandas' in sys.modules)")
    assert place.warmly() == ("True True\n", 0)


def test_a_file_named_as_a_library_is_the_one_imported(place: Place) -> None:
    place.write("WHAT = 'mine'", "pandas.py")
    place.write("import pandas\nprint(pandas.WHAT)")
    assert place.warmly() == ("mine\n", 0)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("PYTHONHASHSEED", "1", "print(hash('x'))"),
        ("PYTHONWARNINGS", "error", "import warnings; warnings.warn('x')"),
        ("PYTHONOPTIMIZE", "1", "assert False; print('not asserted')"),
        ("OMP_NUM_THREADS", "1", "import sklearn.ensemble, threadpoolctl as t; print([i['num_threads'] for i in t.threadpool_info()])"),
        ("OPENBLAS_NUM_THREADS", "1", "import numpy, threadpoolctl as t; print([i['num_threads'] for i in t.threadpool_info()])"),
        ("BIG", "x" * 50_000, "import os; print(len(os.environ['BIG']), len(open('/proc/self/environ').read()) > 50_000)"),
    ],
)  # fmt: skip
def test_what_is_decided_at_start_is_decided_for_each_run(
    place: Place, name: str, value: str, code: str
) -> None:
    place.environment[name] = value
    place.write(code)
    assert place.warmly() == place.plainly()


def test_what_nobody_notices_is_left_out(place: Place) -> None:
    """The C library's own end, and Python's, which would copy all memory of the parent."""
    place.write("import ctypes\nlibc = ctypes.CDLL(None)\nlibc.on_exit(libc.abort, None)\nprint('end')")
    assert place.plainly() == ("end\n", -signal.SIGABRT)
    assert place.warmly() == ("end\n", 0)


def test_a_library_of_the_scripts_own_has_its_end(place: Place) -> None:
    place.write(
        "import ctypes, _sqlite3\nlibc = ctypes.CDLL(None)\nlibc.on_exit(libc.abort, None)\nprint('end')"
    )
    assert place.warmly() == place.plainly() == ("end\n", -signal.SIGABRT)


def test_runs_draw_different_lots(place: Place) -> None:
    place.write(
        "import random, numpy, uuid, tempfile, multiprocessing\n"
        "print(random.random(), numpy.random.rand(), uuid.uuid4(), tempfile.mkdtemp(),\n"
        "      bytes(multiprocessing.current_process().authkey).hex())"
    )
    first, second = place.warmly()[0].split(), place.warmly()[0].split()
    assert len(first) == len(second) == 5
    assert not set(first) & set(second)


def test_a_segfault_leaves_the_python_stack(place: Place) -> None:
    place.write("import ctypes\ndef f(): ctypes.string_at(0)\nf()")
    output, code = place.warmly()
    assert code == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in output
    assert f'File "{place.folder}/train.py", line 2 in f' in output


def test_no_credential_was_ever_in_the_parent(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_TOKEN", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    other = Starter()
    other.keep_warm()
    try:
        assert other.wait_until_warm(60)
        assert other.warm_parent is not None
        environment = psutil.Process(other.warm_parent).environ()
    finally:
        other.close()
    assert "canary" not in environment.values()
    assert set(environment) <= {*OWN.variables(), "FITQ_PADDING"}


def test_a_request_leaves_nothing_for_the_next_run(place: Place) -> None:
    place.environment["SECRET"] = "canary-of-" + "the-first"
    place.write("print('x')")
    place.warmly()
    del place.environment["SECRET"]
    place.write(
        "import re\nfound = 0\n"
        "for line in open('/proc/self/maps'):\n"
        "    span, rights = line.split()[:2]\n"
        "    if 'rw' in rights and ('heap' in line or len(line.split()) < 6):\n"
        "        start, end = (int(n, 16) for n in span.split('-'))\n"
        "        with open('/proc/self/mem', 'rb', 0) as memory:\n"
        "            memory.seek(start)\n"
        "            found += len(re.findall(b'canary-of-[t]he-first', memory.read(end - start)))\n"
        "print(found)"
    )
    assert place.warmly() == ("0\n", 0)


def test_its_end_says_what_it_used(place: Place) -> None:
    place.write(
        "import time\nend = time.process_time() + .3\nwhile time.process_time() < end: pass\nx = bytearray(300_000_000)"
    )
    process = place.start()
    place.end_of(process)
    assert 0.3 <= process.cpu_seconds < 3
    assert process.peak_memory_bytes > 300_000_000


def test_memory_counts_what_is_its_own(place: Place) -> None:
    place.write("import time\nprint('ready', flush=True)\ntime.sleep(1000)")
    process = place.start()
    try:
        eventually(lambda: process.read(0.1))
        assert process.memory_bytes() < 100_000_000  # half of what it shares with its parent, and its own
    finally:
        process.terminate(1)


def test_a_daemon_of_its_own_is_ended_with_it(place: Place) -> None:
    place.write(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(1000)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    place.warmly()
    assert processes_of(place) == []


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_nothing_gets_away_from_its_run(place: Place, is_warm: bool) -> None:
    """A daemon that ignores SIGTERM, in a session of its own, started with an empty environment."""
    place.write(
        "import os, sys\n"
        "code = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(\"there\", flush=True); time.sleep(1000)'\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: os.execve(sys.executable, [sys.executable, '-S', '-c', code, 'get-away'], {})\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "import time; time.sleep(1000)\n"
    )
    process = place.start() if is_warm else Place(place.folder, Starter()).start()
    eventually(lambda: process.read(0.1) == b"there\n")
    began = time.monotonic()
    process.terminate(0.2)
    assert time.monotonic() - began < 5
    assert [p for p in psutil.process_iter(["cmdline"]) if "get-away" in (p.info["cmdline"] or [])] == []


def processes_of(place: Place) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(place.folder) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_run_dies_with_the_warm_parent_and_is_not_blamed(place: Place) -> None:
    place.write("import time\nprint('ready')\ntime.sleep(1000)")
    process = place.start()
    eventually(lambda: process.read(0.1))
    before = place.starter.warm_parent
    assert before is not None
    os.kill(before, signal.SIGKILL)
    place.end_of(process)
    assert process.was_lost
    assert process.exit_code == -signal.SIGKILL
    eventually(lambda: processes_of(place) == [])
    eventually(lambda: place.starter.warm_parent not in (None, before), what="a new warm parent")
    place.write("print('again')")
    assert place.warmly() == ("again\n", 0)


def test_a_fork_that_was_killed_while_it_waited_is_replaced(place: Place) -> None:
    assert place.starter.warm_parent is not None
    parent = psutil.Process(place.starter.warm_parent)
    (ahead,) = eventually(parent.children, what="a fork that waits")
    ahead.kill()
    eventually(lambda: ahead.status() == psutil.STATUS_ZOMBIE, what="its end")
    place.write("print('warm')")
    assert place.warmly() == ("warm\n", 0)
    (again,) = eventually(parent.children, what="another one")
    assert again.pid != ahead.pid
    assert place.warmly() == ("warm\n", 0)


def test_a_run_that_kills_only_itself_is_not_lost(place: Place) -> None:
    place.write("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    process = place.start()
    assert place.end_of(process) == ("", -signal.SIGKILL)
    assert not process.was_lost


def test_a_stopped_warm_parent_holds_nothing_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from fitq.worker import starter

    monkeypatch.setattr(starter, "_FORK_SECONDS", 0.5)
    before = place.starter.warm_parent
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    place.write("print('cold')")
    process = place.start()
    assert isinstance(process, ColdProcess)
    assert place.end_of(process) == ("cold\n", 0)
    eventually(lambda: place.starter.warm_parent not in (None, before))


def test_without_a_warm_parent_runs_start_cold(tmp_path: Path) -> None:
    place = Place(tmp_path, Starter())
    place.write("print('x')")
    process = place.start()
    assert isinstance(process, ColdProcess)
    assert place.end_of(process) == ("x\n", 0)


def test_commands_start_cold(place: Place) -> None:
    program = Program(command=["/bin/sh", "-c", "echo hello"])
    process = place.starter.start(program, cwd=place.folder, environment=place.environment, plan=PLAN)
    assert isinstance(process, ColdProcess)
    assert place.end_of(process) == ("hello\n", 0)


def test_a_killed_worker_leaves_neither_parent_nor_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import time; time.sleep(1000)")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom fitq.worker.starter import Starter\n"
        "from fitq.worker.folder import Program\nfrom fitq.worker.runtime import OWN\n"
        "s = Starter(); s.keep_warm(); assert s.wait_until_warm(60)\n"
        f"d = Path({str(tmp_path)!r})\n"
        "p = s.start(Program(command=[sys.executable, '-u', 'train.py'], modules=d), cwd=d,\n"
        f"            environment={{**OWN.variables(), 'FITQ_RUN_ID': 'x'}}, plan={PLAN!r})\n"
        "print('\\npids', s.warm_parent, p._pid, flush=True)\ntime.sleep(1000)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    line = next(line for line in worker.stdout if line.startswith("pids"))
    pids = [int(n) for n in line.split()[1:]]
    assert all(map(is_alive, pids))
    worker.kill()
    worker.wait()
    worker.stdout.close()
    eventually(lambda: not any(map(is_alive, pids)), seconds=5)


def test_what_it_compiles_can_be_read_by_runs_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {**OWN.variables(), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    monkeypatch.setattr(Runtime, "variables", lambda _: variables)
    parent = WarmParent()
    try:
        assert parent.wait_until_ready()
    finally:
        parent.kill()
        parent.wait()
    compiled = [path for path in tmp_path.rglob("*") if "sklearn" in path.parts]
    assert len(compiled) > 100
    assert {path.stat().st_mode & 0o444 for path in compiled} == {0o444}


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
