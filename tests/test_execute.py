"""One worker, real stores, real processes: what a run is given, what is kept of it, what is left of it."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from fitq import kept_snapshots, runs, submission
from fitq.backend import Backend
from fitq.environments.opening import open_environments
from fitq.isolation.ladder import Ladder
from fitq.queue import NullQueue
from fitq.records import Resources, RunRecord, RunRequest, RunStatus, now
from fitq.settings import Settings
from fitq.snapshots import pack
from fitq.worker import watch
from fitq.worker.execute import Executor
from fitq.worker.folder import RunFolder
from fitq.worker.starter import Starter
from tests.conftest import eventually, ladder_of_this_machine, starters

Execute = Callable[..., RunRecord]


class Bench:
    """Submits scripts and executes them in this process, as a worker would."""

    def __init__(
        self, backend: Backend, settings: Settings, folder: Path, starter: Starter | None = None
    ) -> None:
        self.backend = Backend(backend.workspace, backend.state, backend.objects, NullQueue())
        self.settings, self.folder = settings, folder
        self.executor = Executor(
            backend=self.backend,
            settings=settings,
            work_dir=Path(settings.work_dir),
            worker_id="bench",
            find_function=lambda _: None,
            environments=open_environments(settings, backend.objects),
            starter=starter or Starter(),
            ladder=ladder_of_this_machine().with_places(
                hidden=[Path(settings.work_dir)], opened=[folder.parent]
            ),
        )

    def use(self, ladder: Ladder) -> None:
        self.executor = dataclasses.replace(self.executor, ladder=ladder)

    def submit(
        self, code: str, *arguments: str, files: dict[str, str] | None = None, **asked: Any
    ) -> RunRecord:
        source = self.folder / f"source{len(list(self.folder.iterdir()))}"
        source.mkdir()
        (source / "train.py").write_text(code)
        for name, content in (files or {}).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(content)
        sha256 = kept_snapshots.keep_snapshot(
            self.backend, io.BytesIO(pack(source).data), max_bytes=10**7, max_files=100
        )
        start = {"command": code} if asked.pop("as_command", False) else {"script": "train.py"}
        request = RunRequest(snapshot=sha256, arguments=list(arguments), **start, **asked)
        return submission.submit(self.backend, request)

    def run(self, code: str, *arguments: str, **asked: Any) -> RunRecord:
        run = self.submit(code, *arguments, **asked)
        self.executor.execute(run.id)
        return runs.find(self.backend, run.id)

    def start(self, code: str, *arguments: str, **asked: Any) -> tuple[RunRecord, threading.Thread]:
        run = self.submit(code, *arguments, **asked)
        thread = threading.Thread(target=self.executor.execute, args=(run.id,))
        thread.start()
        return run, thread

    def log(self, run: RunRecord) -> str:
        return runs.read_log(self.backend, run.id).data.decode()

    def files(self, run: RunRecord) -> list[str]:
        return [a.path for a in runs.artifacts(self.backend, run)]


@pytest.fixture(scope="module", params=["cold", "warm"])
def starter(request: pytest.FixtureRequest) -> Iterator[Starter]:
    """Every test runs twice: with runs that start afresh, and as forks of a warm parent."""
    yield from starters(warm=request.param == "warm")


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path, starter: Starter) -> Iterator[Bench]:
    (tmp_path / "sources").mkdir()
    Path(settings.work_dir).mkdir()
    bench = Bench(backend, settings, tmp_path / "sources", starter)
    yield bench
    assert leftovers(settings.work_dir) == [], "a run left processes behind"
    assert list(Path(settings.work_dir).iterdir()) == [], "a run left its folder behind"


def leftovers(work_dir: str) -> list[str]:
    """Processes anywhere on the machine that belong to runs of this worker."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FITQ_RUN_FOLDER", "").startswith(work_dir):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_a_script_finds_what_it_would_find_under_python(bench: Bench) -> None:
    run = bench.run(
        "import os, sys, helper\n"
        "print(__name__, sys.argv, sys.path[0] == os.getcwd(), helper.WHAT, open('data/x.csv').read())\n"
        "open('outputs/sub.txt', 'w').write('kept')\n"
        "print(sorted(os.listdir()))\n",
        "--penalty", "1.0",
        files={"helper.py": "WHAT = 'sibling'", "data/x.csv": "1,2"},
    )  # fmt: skip
    assert run.status is RunStatus.COMPLETED
    assert bench.log(run) == (
        "__main__ ['train.py', '--penalty', '1.0'] True sibling 1,2\n"
        "['__pycache__', 'data', 'helper.py', 'outputs', 'train.py']\n"
    )
    assert bench.files(run) == ["outputs/sub.txt", "user_logs/std_log.txt"]
    assert [e.status.value for e in run.timeline] == [
        "Queued",
        "Preparing",
        "Running",
        "Finalizing",
        "Completed",
    ]
    assert all(a.at <= b.at for a, b in zip(run.timeline, run.timeline[1:], strict=False))
    assert run.versions.python.startswith("3.")
    assert "scikit-learn" in run.versions.packages
    assert run.usage.run_seconds > 0
    assert run.usage.cpu_seconds > 0
    assert run.usage.peak_memory_bytes > 1_000_000


def test_metrics_are_kept_in_order(bench: Bench) -> None:
    run = bench.run(
        "from fitq.context import RunContext\n"
        "import numpy as np\n"
        "run = RunContext.from_environment()\n"
        "for n in range(3): run.log('loss', np.float32(1 / (n + 1)), step=n)\n"
        "run.log('kernel', 'rbf'); run.log_row('fold', index=1, score=0.5); run.tag('team', 'a')\n"
        "run.log('nothing', float('nan')); run.tag('again', 1)\n"
        "run.untag('asked', 'again', 'never'); run.tag('again', 2)\n",
        tags={"asked": "x", "kept": "y"},
    )
    series = runs.metrics(bench.backend, run)
    assert [(p.value, p.step) for p in series["loss"]] == [(1.0, 0), (0.5, 1), (pytest.approx(1 / 3), 2)]
    assert series["kernel"][0].value == "rbf"
    assert series["fold"][0].value == {"index": 1, "score": 0.5}
    assert series["nothing"][0].value == "nan"
    assert run.tags == {"kept": "y", "team": "a", "again": "2"}
    assert run.warnings == []


def test_log_and_metrics_are_seen_while_the_run_goes_on(bench: Bench, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run, thread = bench.start(
        "import os, sys, time\n"
        "from fitq.context import RunContext\n"
        "print('first line'); RunContext.from_environment().log('a', 1)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "print('last line')\n"
    )
    eventually(lambda: bench.log(run) == "first line\n")
    eventually(lambda: runs.metrics(bench.backend, runs.find(bench.backend, run.id)).get("a"))
    assert runs.find(bench.backend, run.id).status is RunStatus.RUNNING
    gate.touch()
    thread.join(30)
    assert bench.log(run) == "first line\nlast line\n"


def test_files_of_logs_are_seen_while_the_run_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_UPLOAD_SECONDS", 0.1)
    gate = tmp_path / "gate"
    run, thread = bench.start(
        "import os, time\n"
        "os.makedirs('logs'); open('logs/epochs.csv', 'w').write('1,0.5')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    )
    eventually(lambda: bench.files(runs.find(bench.backend, run.id)) == ["logs/epochs.csv"])
    gate.touch()
    thread.join(30)
    assert bench.files(runs.find(bench.backend, run.id)) == ["logs/epochs.csv", "user_logs/std_log.txt"]


def test_a_failed_script_keeps_outputs_logs_and_its_last_lines(bench: Bench) -> None:
    run = bench.run(
        "import os\n"
        "open('outputs/half.txt', 'w').write('x'); os.makedirs('logs'); open('logs/l.txt', 'w').write('y')\n"
        "print('so far so good')\n"
        "raise ValueError('negative penalty')\n"
    )
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert (run.failure.kind, run.failure.message) == ("user_error", "ValueError: negative penalty")
    assert (run.failure.exit_code, run.failure.where) == (1, "train.py:4")
    assert run.failure.lines == [
        '  File "train.py", line 4, in <module>',
        "    raise ValueError('negative penalty')",
        "ValueError: negative penalty",
    ]
    assert bench.files(run) == ["outputs/half.txt", "logs/l.txt", "user_logs/std_log.txt"]


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        ("import nonexistent_package", "import_error", 1),
        ("def broken(:", "syntax_error", 1),
        ("open('missing.csv')", "file_missing", 1),
        ("import argparse; argparse.ArgumentParser().parse_args(['--x'])", "argument_error", 2),
        ("import sys; sys.exit(7)", "exited", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", -9),
        ("import ctypes; ctypes.string_at(0)", "segfault", -11),
    ],
)
def test_why_a_script_failed_is_said(bench: Bench, code: str, kind: str, exit_code: int) -> None:
    run = bench.run(code)
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert (run.failure.kind, run.failure.exit_code) == (kind, exit_code)
    assert run.failure.hint


def test_a_file_that_the_snapshot_left_out_is_named_with_the_rule(bench: Bench) -> None:
    run = bench.run("open('big.csv')", files={".gitignore": "*.csv\n", "big.csv": "1"})
    assert run.failure is not None
    assert (run.failure.kind, run.failure.where) == ("file_missing", "train.py:1")
    assert "left out of the snapshot by '*.csv' in .gitignore" in run.failure.hint


def test_exit_zero_however_it_comes_is_completed(bench: Bench) -> None:
    assert bench.run("import os; os._exit(0)").status is RunStatus.COMPLETED
    assert bench.run("raise SystemExit").status is RunStatus.COMPLETED
    handled = (
        "import traceback, warnings\ntry:\n    1/0\nexcept ZeroDivisionError:\n    traceback.print_exc()\n"
    )
    assert bench.run(f"{handled}warnings.warn('did not converge')").failure is None


def test_a_command_finds_the_python_of_its_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)  # a machine without `python`, or with another one
    run = bench.run("python -c 'import sklearn, sys; print(sys.prefix)'", as_command=True)
    assert bench.log(run) == f"{sys.prefix}\n"


def test_a_command_runs_in_the_snapshot(bench: Bench) -> None:
    run = bench.run("cat train.py > outputs/copy.txt && echo done", as_command=True)
    assert run.status is RunStatus.COMPLETED
    assert bench.log(run) == "done\n"
    assert "outputs/copy.txt" in bench.files(run)


def test_links_and_devices_in_outputs_are_skipped_and_said(bench: Bench) -> None:
    run = bench.run(
        "import os\n"
        "os.symlink('/etc/passwd', 'outputs/passwd'); os.symlink('/etc', 'outputs/etc')\n"
        "os.mkfifo('outputs/pipe'); os.symlink('.', 'outputs/loop')\n"
        "open('outputs/new\\nline', 'w').close(); open('outputs/good.txt', 'w').write('x')\n"
    )
    assert run.status is RunStatus.COMPLETED
    assert bench.files(run) == ["outputs/good.txt", "user_logs/std_log.txt"]
    assert len(run.warnings) == 5
    assert any("'outputs/passwd' is a link" in w for w in run.warnings)


def test_outputs_that_became_a_link_are_not_followed(bench: Bench) -> None:
    run = bench.run("import os; os.rmdir('outputs'); os.symlink('/etc', 'outputs')")
    assert bench.files(run) == ["user_logs/std_log.txt"]
    assert run.warnings == ["outputs is a link and was not followed"]


def test_no_credential_reaches_the_script(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_TOKEN", "canary-token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-aws")
    run = bench.run(
        "import os, subprocess\n"
        "print(dict(os.environ)); print(open(f'/proc/{os.getpid()}/environ').read())\n"
        "print(open(f'/proc/{os.getpid()}/cmdline').read())\n",
        environment_variables={"MINE": "given"},
    )
    log = bench.log(run)
    assert "canary" not in log
    assert bench.settings.s3_secret_key not in log
    assert "'MINE': 'given'" in log


def test_processes_that_left_the_group_are_ended_too(bench: Bench) -> None:
    run = bench.run(
        "import subprocess, sys, os\n"
        "subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "subprocess.Popen(['sleep', '1000'])\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: os.execvp('sleep', ['sleep', '1000'])\n"
        "    os._exit(0)\n"
        "print('parent ends')\n"
    )
    assert run.status is RunStatus.COMPLETED
    assert leftovers(bench.settings.work_dir) == []


def test_a_canceled_run_leaves_no_process_and_keeps_its_outputs(bench: Bench) -> None:
    run, thread = bench.start(
        "import signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('outputs/so-far.txt', 'w').write('x'); subprocess.Popen(['sleep', '1000'])\n"
        "print('ready')\n"
        "time.sleep(1000)\n"
    )
    eventually(lambda: "ready" in bench.log(run))
    runs.cancel(bench.backend, run.id)
    thread.join(10)
    ended = runs.find(bench.backend, run.id)
    assert ended.status is RunStatus.CANCELED
    assert ended.failure is not None
    assert ended.failure.kind == "canceled"
    assert "outputs/so-far.txt" in bench.files(ended)


def test_a_cancel_is_not_swallowed_by_a_worker_that_stops(bench: Bench) -> None:
    run, thread = bench.start(
        "import time; open('outputs/so-far.txt', 'w').write('x'); print('ready'); time.sleep(1000)"
    )
    eventually(lambda: "ready" in bench.log(run))
    runs.cancel(bench.backend, run.id)
    bench.executor.stopping.set()
    thread.join(10)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.CANCELED, 1)
    assert "outputs/so-far.txt" in bench.files(ended)


def test_nothing_is_executed_of_a_run_that_was_canceled_while_it_was_preparing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_snapshot, mark = RunFolder.take_snapshot, tmp_path / "mark"
    run = bench.submit(f"open({str(mark)!r}, 'w')")

    def canceled_meanwhile(folder: RunFolder, backend: Backend, is_over: Callable[[], bool]) -> None:
        take_snapshot(folder, backend, is_over)
        assert runs.cancel(backend, run.id).status is RunStatus.PREPARING

    monkeypatch.setattr(RunFolder, "take_snapshot", canceled_meanwhile)
    bench.executor.execute(run.id)
    assert runs.find(bench.backend, run.id).status is RunStatus.CANCELED
    assert not mark.exists()


def test_a_cancel_that_was_answered_holds_although_the_script_ended_by_itself_before_it_was_seen(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 300.0)
    gate = tmp_path / "gate"
    run, thread = bench.start(
        "import os, time; print('ready')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "open('outputs/all.txt', 'w').write('x')\n"
    )
    eventually(lambda: "ready" in bench.log(run))
    assert runs.cancel(bench.backend, run.id).status is RunStatus.RUNNING
    gate.touch()
    thread.join(30)
    ended = runs.find(bench.backend, run.id)
    assert ended.status is RunStatus.CANCELED
    assert "outputs/all.txt" in bench.files(ended)


@pytest.mark.parametrize("is_canceled", [True, False])
def test_a_script_that_is_told_to_stop_has_the_time_to_save_what_it_has(
    bench: Bench, is_canceled: bool
) -> None:
    executor = dataclasses.replace(
        bench.executor, settings=dataclasses.replace(bench.settings, grace_seconds=60.0)
    )
    run = bench.submit(
        "import signal, subprocess, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.3)\n"
        "    open('outputs/saved.txt', 'w').write('x')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "subprocess.Popen(['sleep', '1000'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n",
        timeout_seconds=None if is_canceled else 2.0,
    )
    thread = threading.Thread(target=executor.execute, args=(run.id,))
    thread.start()
    eventually(lambda: "ready" in bench.log(run))
    if is_canceled:
        asked_at = now()
        runs.cancel(bench.backend, run.id)
    thread.join(60)
    ended = runs.find(bench.backend, run.id)
    if not is_canceled:
        asked_at = ended.timeline[2].at + timedelta(seconds=2)
    assert "outputs/saved.txt" in bench.files(ended)
    assert ended.failure is not None
    assert ended.failure.kind == ("canceled" if is_canceled else "timed_out")
    assert ended.timeline[-1].at - asked_at < timedelta(seconds=5), "as promised"


def test_time_and_memory_limits_hold(bench: Bench) -> None:
    slow = bench.run("import time; time.sleep(1000)", timeout_seconds=0.5)
    assert slow.failure is not None
    assert slow.failure.kind == "timed_out"
    big = bench.run(
        "import time; x = bytearray(400_000_000); time.sleep(1000)",
        resources=Resources(memory_bytes=200_000_000),
        timeout_seconds=60,
    )
    assert big.failure is not None
    assert big.failure.kind == "out_of_memory"
    assert big.usage.peak_memory_bytes > 200_000_000


def test_memory_that_comes_at_once_or_in_a_child_ends_only_its_run(bench: Bench) -> None:
    if "groups" not in bench.executor.ladder.rungs:
        pytest.skip("no control groups here: " + bench.executor.ladder.missing["groups"])
    asked: dict[str, Any] = {"resources": Resources(memory_bytes=200_000_000), "timeout_seconds": 60}
    at_once = bench.run("x = bytearray(3_000_000_000); print(len(x))", **asked)
    in_a_child = bench.run(
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'x = bytearray(3_000_000_000)'], check=True)\n",
        **asked,
    )
    for run in (at_once, in_a_child):
        assert run.failure is not None
        assert run.failure.kind == "out_of_memory"
        assert run.usage.peak_memory_bytes > 150_000_000
    assert bench.run("print('still here')").status is RunStatus.COMPLETED


def test_memory_of_all_its_processes_counts_where_the_kernel_does_not_limit_it(bench: Bench) -> None:
    bench.use(dataclasses.replace(bench.executor.ladder, groups=None))
    run = bench.run(
        "import subprocess, sys\n"
        "held = 'import time; x = b\"x\" * 300_000_000; time.sleep(1000)'\n"
        "subprocess.run([sys.executable, '-c', held], check=True)\n",
        resources=Resources(memory_bytes=200_000_000),
        timeout_seconds=60,
    )
    assert run.failure is not None
    assert run.failure.kind == "out_of_memory"
    assert run.usage.peak_memory_bytes > 200_000_000


def test_memory_that_processes_share_counts_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four children see one array: counted for each of them it would be 1.5 GB."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.05)
    bench.use(dataclasses.replace(bench.executor.ladder, groups=None))
    run = bench.run(
        "import os, time, numpy\n"
        "array = numpy.ones(300_000_000, dtype='u1')\n"
        "for n in range(4):\n"
        "    if os.fork() == 0:\n"
        "        total = int(array.sum()); time.sleep(0.6); os._exit(total != 300_000_000)\n"
        "print([os.wait()[1] for n in range(4)])\n",
        resources=Resources(memory_bytes=600_000_000),
        timeout_seconds=60,
    )
    assert run.status is RunStatus.COMPLETED, run.failure
    assert bench.log(run) == "[0, 0, 0, 0]\n"
    assert 300_000_000 < run.usage.peak_memory_bytes < 600_000_000


def test_a_fork_bomb_ends_with_its_run(bench: Bench) -> None:
    if "groups" not in bench.executor.ladder.rungs:
        pytest.skip("no control groups here: " + bench.executor.ladder.missing["groups"])
    executor = dataclasses.replace(
        bench.executor, settings=dataclasses.replace(bench.settings, run_processes=60, grace_seconds=0.3)
    )
    run = bench.submit(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True:\n"
        "    try:\n"
        "        if os.fork() == 0: os.setsid(); os.environ.clear()\n"
        "    except OSError: time.sleep(0.01)\n",
        timeout_seconds=2,
    )
    executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert ended.failure is not None
    assert ended.failure.kind == "timed_out"
    assert ended.usage.run_seconds < 12
    groups = bench.executor.ladder.groups  # a group cannot be removed while it has a process
    assert groups is not None
    assert [g for parent in groups.parents for g in parent.glob(f"fitq-{run.id}*")] == []
    assert ended.usage.cpu_seconds > 0


def test_a_stopping_worker_hands_its_run_back_and_the_next_attempt_goes_on(
    bench: Bench, tmp_path: Path
) -> None:
    marker = tmp_path / "again"
    run, thread = bench.start(
        f"import os, time\nprint('here')\ntime.sleep(0 if os.path.exists({str(marker)!r}) else 1000)\n"
    )
    eventually(lambda: "here" in bench.log(run))
    bench.executor.stopping.set()
    thread.join(10)
    handed_back = runs.find(bench.backend, run.id)
    assert handed_back.status is RunStatus.QUEUED
    assert handed_back.timeline[-1].reason == "the worker was stopped"
    assert isinstance(bench.backend.queue, NullQueue)
    assert bench.backend.queue.sent[-1][2] == run.id

    marker.touch()
    bench.executor.stopping.clear()
    bench.executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2)
    assert bench.log(ended) == "here\n[fitq] attempt 2\nhere\n"


def test_a_second_delivery_changes_nothing(bench: Bench) -> None:
    run = bench.run("print('once')")
    before = runs.find(bench.backend, run.id)
    bench.executor.execute(run.id)
    bench.executor.execute("nobody-1")
    assert runs.find(bench.backend, run.id) == before
    assert bench.log(run) == "once\n"


def test_a_run_that_kills_its_keeper_is_tried_again_and_then_given_up(bench: Bench) -> None:
    is_warm = bench.executor.starter.warm_parent is not None
    executor = dataclasses.replace(bench.executor, ladder=Ladder())  # or it could not
    run = bench.submit("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", max_attempts=2)
    for status in (RunStatus.QUEUED, RunStatus.FAILED):
        assert not is_warm or bench.executor.starter.wait_until_warm(30)
        executor.execute(run.id)
        assert runs.find(bench.backend, run.id).status is status
    ended = runs.find(bench.backend, run.id)
    assert ended.failure is not None
    assert (ended.failure.kind, ended.attempt) == ("worker_lost", 2)
    assert not is_warm or bench.executor.starter.wait_until_warm(30)


def test_a_flood_of_output_and_metrics_is_bounded(
    backend: Backend, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir()
    bench = Bench(backend, dataclasses.replace(settings, log_bytes=100_000), tmp_path / "s")
    run = bench.run(
        "import os, sys\n"
        "from fitq.context import RunContext\n"
        "run = RunContext.from_environment()\n"
        "for n in range(200): sys.stdout.buffer.write(b'\\xff\\x00' * 5000 + b'\\n')\n"
        "with open(run.path / 'metrics.jsonl', 'a') as f:\n"
        "    f.write('{\"torn\\n'); f.write('[1,2]\\n'); f.write('{\"name\": \"half')\n"
    )
    assert run.status is RunStatus.COMPLETED
    assert len(runs.read_log(backend, run.id, 0, 10**7).data) < 101_000
    assert any("bytes of output were not kept" in w for w in run.warnings)
    assert any("2 logged lines could not be read" in w for w in run.warnings)


def test_a_million_metrics_are_cut_at_the_limit_and_the_run_completes(
    backend: Backend, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir()
    bench = Bench(backend, settings, tmp_path / "s")
    run = bench.run(
        "from fitq.context import RunContext\n"
        "run = RunContext.from_environment()\n"
        "run.log('up', float('inf')); run.log('down', float('-inf'))\n"
        "line = open(run.path / 'metrics.jsonl').readlines()[0].replace('up', 'many' * 20)\n"
        "with open(run.path / 'metrics.jsonl', 'a') as f:\n"
        "    for n in range(1_000_000): f.write(line)\n"
    )
    assert run.status is RunStatus.COMPLETED
    assert run.warnings == ["There were too many metrics: only the first ones were kept."]
    series = runs.metrics(backend, run)
    assert [series[name][0].value for name in ("up", "down")] == ["inf", "-inf"]
    assert 100_000 < len(series["many" * 20]) < 1_000_000


def test_a_script_that_closes_its_stdout_ends_as_any_other(bench: Bench) -> None:
    run = bench.run("import os; print('said'); os.close(1); open('outputs/kept.txt', 'w').write('x')")
    assert run.status is RunStatus.COMPLETED, run.failure
    assert bench.log(run) == "said\n"
    assert "outputs/kept.txt" in bench.files(run)


def test_a_run_that_cannot_be_started_says_why(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "make", no_room)
    run = bench.run("print(1)")
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert run.failure.kind == "disk_full"
    assert "No space left on device" in run.failure.message


class Failing(Ladder):
    """A ladder one of whose steps does not hold any more."""

    def plan(self, run: str, **asked: Any) -> dict[str, Any]:
        return {**super().plan(run, **asked), "groups": ["/nonexistent/tasks"]}


def test_a_run_that_cannot_be_confined_runs_nothing_and_is_left_to_another(bench: Bench) -> None:
    bench.use(Failing())
    run = bench.submit("print('executed')", max_attempts=2)
    bench.executor.execute(run.id)
    back = runs.find(bench.backend, run.id)
    assert (back.status, back.attempt, back.losses) == (RunStatus.QUEUED, 1, 0)
    assert "/nonexistent/tasks" in back.timeline[-1].reason
    bench.executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.FAILED, 2)
    assert ended.failure is not None
    assert ended.failure.kind == "isolation_failed"
    assert "fitq doctor" in ended.failure.hint
    assert "Worker bench could not confine the run" in ended.failure.message
    assert "/nonexistent/tasks" in ended.failure.message
    assert "executed" not in bench.log(ended)


def test_a_run_that_could_not_be_confined_for_the_last_time_is_canceled_if_somebody_asked_for_that(
    bench: Bench,
) -> None:
    class Canceling(Failing):
        def plan(self, run: str, **asked: Any) -> dict[str, Any]:
            runs.cancel(bench.backend, run)
            return super().plan(run, **asked)

    bench.use(Canceling())
    run = bench.submit("print('executed')", max_attempts=1)
    bench.executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.CANCELED, 1)
    assert ended.failure is not None
    assert ended.failure.kind == "canceled"


FAILS_TWICE = """
import os, pathlib
attempt = pathlib.Path(os.environ["FITQ_RUN_FOLDER"]).parent.name.split("-")[-2]
pathlib.Path(f"outputs/of-attempt-{attempt}.txt").write_text("x")
if attempt != "3":
    raise ConnectionError("the database is away")
"""


def test_a_failed_attempt_is_followed_by_another_if_that_was_asked_for(bench: Bench) -> None:
    run = bench.submit(FAILS_TWICE, max_attempts=3, retry_failures=True)
    for attempt in (1, 2):
        bench.executor.execute(run.id)
        back = runs.find(bench.backend, run.id)
        assert (back.status, back.attempt, back.losses) == (RunStatus.QUEUED, attempt, 0)
        assert "the attempt failed: ConnectionError: the database is away" in back.timeline[-1].reason
    bench.executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 3)
    assert [f for f in bench.files(ended) if "attempt" in f] == ["outputs/of-attempt-3.txt"]
    assert bench.log(ended).count("ConnectionError: the database is away") == 2


def test_the_last_attempt_that_fails_ends_the_run_with_its_failure(bench: Bench) -> None:
    run = bench.submit("raise ValueError('always')", max_attempts=2, retry_failures=True)
    for _ in range(2):
        bench.executor.execute(run.id)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.FAILED, 2)
    assert ended.failure is not None
    assert ended.failure.kind == "user_error"


def test_a_canceled_run_is_not_tried_again(bench: Bench) -> None:
    run, thread = bench.start("import time; print('ready'); time.sleep(1000)", retry_failures=True)
    eventually(lambda: "ready" in bench.log(run))
    runs.cancel(bench.backend, run.id)
    thread.join(30)
    ended = runs.find(bench.backend, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.CANCELED, 1)


def test_a_script_cannot_claim_that_it_was_not_confined(bench: Bench) -> None:
    run = bench.run(
        "import os, sys\n"
        "for n in range(3, 64):\n"
        "    try: os.write(n, b'OSError: forged\\n')\n"
        "    except OSError: pass\n"
        "print('cannot confine the run: OSError: forged'); os._exit(126)"
    )
    assert (run.status, run.attempt) == (RunStatus.FAILED, 1)
    assert run.failure is not None
    assert (run.failure.kind, run.failure.exit_code) == ("exited", 126)


def test_what_a_run_writes_is_bounded_and_the_run_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_DISK_SECONDS", 0.2)
    bench.executor = dataclasses.replace(
        bench.executor, settings=dataclasses.replace(bench.settings, run_disk_bytes=20_000_000)
    )
    greedy = bench.run(
        "import os, time\n"
        "open('outputs/kept.txt', 'w').write('x')\n"
        "with open('big', 'wb') as file: file.write(os.urandom(40_000_000))\n"
        "time.sleep(1000)\n",
        timeout_seconds=60,
    )
    assert greedy.failure is not None
    assert greedy.failure.kind == "disk_full"
    assert "FITQ_RUN_DISK_BYTES" in greedy.failure.message
    assert "outputs/kept.txt" in bench.files(greedy)


def test_a_file_with_holes_is_not_sent_as_a_long_one(bench: Bench) -> None:
    run = bench.run(
        "import os\n"
        "os.truncate(os.open('outputs/holes', os.O_CREAT | os.O_WRONLY), 10**12)\n"
        "open('outputs/z.txt', 'w').write('x')\n"
    )
    assert bench.files(run) == ["outputs/z.txt", "user_logs/std_log.txt"]
    assert any("'outputs/holes' has 1000000000000 bytes" in w for w in run.warnings)


def test_a_metric_of_five_megabytes_hides_no_later_one(bench: Bench) -> None:
    run = bench.run(
        "from fitq.context import RunContext\n"
        "run = RunContext.from_environment()\n"
        "run.log('before', 1)\n"
        "with open(run.path / 'metrics.jsonl', 'a') as file: file.write('x' * 9_000_000 + '\\n')\n"
        "run.log('after', 2)\n"
    )
    assert set(runs.metrics(bench.backend, run)) == {"before", "after"}
    assert "1 lines of metrics were too long and were left out." in run.warnings


def test_a_worker_whose_disk_is_full_leaves_runs_in_their_queue(bench: Bench) -> None:
    executor = dataclasses.replace(
        bench.executor, settings=dataclasses.replace(bench.settings, free_disk_bytes=1 << 60)
    )
    run = bench.submit("print('later')")
    executor.execute(run.id)
    assert not executor.has_room
    waiting = runs.find(bench.backend, run.id)
    assert (waiting.status, waiting.attempt) == (RunStatus.QUEUED, 0)
    assert isinstance(bench.backend.queue, NullQueue)
    assert bench.backend.queue.sent[-1][2] == run.id
    bench.executor.execute(run.id)
    assert bench.log(run) == "later\n"
