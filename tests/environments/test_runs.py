# ruff: noqa: E501
"""Runs in environments of their own: what they are given, what is recorded, what is said when it cannot be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fitq import registry, runs
from fitq.backend import Backend
from fitq.environments.interpreters import find_interpreters
from fitq.environments.reading import read_spec
from fitq.records import RegisterRequest, RunRecord, RunStatus
from fitq.settings import Settings
from fitq.worker.process import adopt_orphans
from fitq.worker.runtime import Runtime
from fitq.worker.starter import Starter
from tests.conftest import eventually
from tests.environments.conftest import TINY
from tests.test_execute import Bench

SHOW = "import sys, iniconfig\nprint(sys.prefix, sys.version.split()[0], iniconfig.__file__)\n"


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path, packages: Path) -> Iterator[Bench]:
    adopt_orphans()
    for folder in ("sources", "work", "environments"):
        (tmp_path / folder).mkdir()
    (tmp_path / "environments" / "packages").symlink_to(packages)
    bench = Bench(backend, settings, tmp_path / "sources", Starter())
    yield bench
    bench.executor.starter.close()


def test_a_run_finds_the_packages_that_it_asked_for(bench: Bench) -> None:
    run = bench.run(SHOW, environment={"name": "mine", "pip": [TINY, "azureml-defaults"]})
    log = bench.log(run)
    assert run.status is RunStatus.COMPLETED, log
    assert str(bench.settings.environments) in log
    assert run.environment.name == "mine"
    assert len(run.environment.hash) == 64
    assert run.environment.resolved_to == run.environment.hash[:12]
    assert run.versions.packages == {"iniconfig": "1.1.1"}
    assert run.versions.python == run.environment.python
    assert any("azureml-defaults is replaced" in s for s in run.environment.substitutions)


def test_the_build_is_shown_in_the_log_and_counted_as_preparing(bench: Bench) -> None:
    run = bench.run(SHOW, environment={"pip": [TINY]})
    lines = bench.log(run).splitlines()
    assert f"[fitq] resolving {TINY}" in lines
    assert any(line.startswith("[fitq] environment ready in") for line in lines)
    assert [e.status.value for e in run.timeline][1:3] == ["Preparing", "Running"]


def test_a_run_in_an_environment_logs_as_any_other(bench: Bench) -> None:
    code = (
        "from azureml.core.run import Run\nfrom fitq import RunContext\n"
        "Run.get_context().log('a', 1)\nRunContext.from_environment().log('b', 2)\n"
        "import subprocess, sys\nsubprocess.run(['python', '-c', 'import iniconfig'], check=True)\n"
    )
    run = bench.run(code, environment={"pip": [TINY]})
    assert run.status is RunStatus.COMPLETED, bench.log(run)
    assert set(runs.metrics(bench.backend, run)) == {"a", "b"}


PLOTS = """
import warnings
warnings.simplefilter("error")
import matplotlib.pyplot as plt

plt.plot([1, 2, 3])
plt.show()
plt.show()
plt.title("changed")
plt.show(block=True)
plt.figure()
plt.plot([3, 2, 1])
print(plt.get_fignums(), plt.get_backend().lower(), plt.show.__name__)
"""


def test_figures_that_a_script_shows_or_leaves_open_are_kept(bench: Bench) -> None:
    run = bench.run(PLOTS, environment={"pip": ["matplotlib"]})
    if run.failure is not None and run.failure.kind == "environment_failed":
        pytest.skip(f"matplotlib cannot be had here: {run.failure.message}")
    assert run.status is RunStatus.COMPLETED, bench.log(run)
    assert bench.log(run).splitlines()[-1] == "[1, 2] agg show"
    kept = [f for f in bench.files(run) if f.startswith("captured/")]
    assert kept == [f"captured/figure-{n}.png" for n in (1, 2, 3)]
    _, pieces = runs.open_artifact(bench.backend, run, kept[0])
    assert b"".join(pieces).startswith(b"\x89PNG")

    saved = PLOTS + "plt.savefig('outputs/mine.png')\n"
    own = bench.run(saved, environment={"pip": ["matplotlib"]})
    assert {f for f in bench.files(own) if f.endswith(".png")} == {*kept[:2], "outputs/mine.png"}


def test_a_model_that_needs_a_package_of_its_run_is_looked_into_where_that_is(bench: Bench) -> None:
    code = "import joblib, tabulate\njoblib.dump(tabulate.Line('', '', '', ''), 'outputs/model.joblib')\n"
    run = bench.run(code, environment={"pip": ["joblib", "tabulate"]})
    request = RegisterRequest(name="other", run=run.id, path="outputs/model.joblib")
    model = registry.register(bench.backend, request, environments=bench.executor.environments)
    assert (model.estimator, model.environment, model.whole) == ("Line", run.environment.hash, True)


def test_a_command_runs_in_the_environment(bench: Bench) -> None:
    run = bench.run(
        "python -c 'import iniconfig, sys; print(sys.prefix)'", as_command=True, environment={"pip": [TINY]}
    )
    assert str(bench.settings.environments) in bench.log(run)


def test_what_cannot_be_built_fails_the_run_with_the_reason_and_its_log(bench: Bench) -> None:
    run = bench.run(SHOW, environment={"pip": ["scikit-lern==1.2"]})
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert run.failure.kind == "environment_failed"
    assert "Did you mean 'scikit-learn'" in run.failure.message
    assert "misspelt" in run.failure.hint
    assert any("scikit-lern" in line for line in run.failure.lines)
    assert "resolving scikit-lern==1.2" in bench.log(run)
    assert bench.files(run) == ["user_logs/std_log.txt"]


def test_a_package_index_that_is_away_gives_the_run_back_a_few_times(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "environments" / "packages").unlink()  # nothing is cached
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    object.__setattr__(bench.settings, "index_seconds", 0.0)
    run = bench.run(SHOW, environment={"pip": [TINY]}, max_attempts=2)
    assert run.status is RunStatus.QUEUED
    assert "package index does not answer" in run.timeline[-1].reason
    bench.executor.execute(run.id)
    run = runs.find(bench.backend, run.id)
    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert run.failure.kind == "environment_failed"
    assert "network" in run.failure.hint


def slowly_prepared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[RunRecord, threading.Thread]:
    """A run whose environment is being built, for ten minutes, and the thread that executes it."""
    slow = tmp_path / "uv"
    slow.write_text("#!/bin/sh\necho started >&2\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr("fitq.environments.tool.find_uv", lambda: str(slow))
    run, thread = bench.start(SHOW, environment={"pip": [TINY]})
    eventually(lambda: "building" in bench.log(run), what="the build")
    return run, thread


def test_a_run_is_canceled_while_its_environment_is_built(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, thread = slowly_prepared(bench, monkeypatch, tmp_path)
    assert runs.find(bench.backend, run.id).status is RunStatus.PREPARING
    runs.cancel(bench.backend, run.id)
    thread.join(20)
    assert runs.find(bench.backend, run.id).status is RunStatus.CANCELED


def test_a_worker_that_stops_gives_back_what_it_prepares(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, thread = slowly_prepared(bench, monkeypatch, tmp_path)
    bench.executor.stopping.set()
    thread.join(20)
    assert runs.find(bench.backend, run.id).status is RunStatus.QUEUED


def test_two_runs_that_need_one_environment_build_it_once(bench: Bench) -> None:
    started = [bench.start(SHOW, environment={"pip": [TINY]}) for _ in range(3)]
    for _, thread in started:
        thread.join(60)
    logs = [bench.log(run) for run, _ in started]
    assert sum("[fitq] building environment" in log for log in logs) == 1
    assert all(str(bench.settings.environments) in log for log in logs)


def test_an_environment_is_not_removed_under_a_run(bench: Bench) -> None:
    run, thread = bench.start(
        SHOW + "input() if 0 else __import__('time').sleep(1.5)\nimport json.tool\n",
        environment={"pip": [TINY]},
    )
    eventually(lambda: runs.find(bench.backend, run.id).status is RunStatus.RUNNING, what="the run")
    assert bench.executor.environments.trim(0) == []
    thread.join(30)
    assert runs.find(bench.backend, run.id).status is RunStatus.COMPLETED
    bench.executor.starter.close()
    assert len(bench.executor.environments.trim(0)) == 1


def test_a_name_without_packages_is_the_workers_own_with_a_warning(bench: Bench) -> None:
    run = bench.run("import sklearn", environment={"name": "mine"})
    assert run.status is RunStatus.COMPLETED
    assert run.environment.resolved_to == "worker"
    assert "'mine' names no packages" in run.warnings[0]


def test_a_python_that_is_not_here_is_substituted_with_a_warning(bench: Bench) -> None:
    conda = {"dependencies": ["python=3.6.2", {"pip": ["azureml-defaults"]}]}
    run = bench.run("import sys; print(sys.version)", environment={"name": "myenv", "conda": conda})
    assert run.status is RunStatus.COMPLETED, bench.log(run)
    (warning,) = run.warnings
    assert f"Python 3.6.2 was asked for; this is {run.environment.python}" in warning
    assert f"[fitq] warning: {warning}" in bench.log(run)
    assert warning in run.environment.substitutions


def test_strict_takes_no_other_python(bench: Bench) -> None:
    run = bench.run(
        "print()", environment={"name": "myenv", "pip": [TINY], "python": "3.6.2", "strict": True}
    )
    assert run.failure is not None
    assert run.failure.kind == "environment_failed"
    assert "Environment 'myenv' cannot be had on this worker. There is no Python 3.6.2" in run.failure.message


OLD = [i for i in find_interpreters() if i.version < (3, 10, 0)]


@pytest.mark.skipif(not OLD, reason="needs an old Python, as the article's conda file does")
def test_the_second_run_in_an_old_environment_starts_as_a_fork(bench: Bench) -> None:
    conda = {"dependencies": [f"python={OLD[0].release}", "scikit-learn", "numpy"]}
    code = (
        "import sys\nwarm = 'sklearn' in sys.modules\n"
        "from azureml.core import Run\nRun.get_context().log('warm', warm)\n"
        "import numpy as np, sklearn\nprint(np.str('ä'), np.float(1), sklearn.__version__, sys.argv)\n"
        "import multiprocessing as mp\nprint(mp.current_process().name)\n"
    )
    first = bench.run(code, "--penalty", "ö", environment={"name": "myenv", "conda": conda})
    assert first.status is RunStatus.COMPLETED, bench.log(first)
    runtime = Runtime(bench.executor.environments.open(first.environment.hash))
    assert bench.executor.starter.wait_until_warm(90, runtime)
    runtime.close()
    second = bench.run(code, "--penalty", "ö", environment={"name": "myenv", "conda": conda})
    said = [[line for line in bench.log(r).splitlines() if "[fitq]" not in line] for r in (first, second)]
    assert said[0] == said[1]
    told = [runs.metrics(bench.backend, r)["warm"][0].value for r in (first, second)]
    assert told == [False, True]
    assert second.versions == first.versions
    assert second.versions.packages["scikit-learn"] == sklearn_of(said[1])


def sklearn_of(lines: list[str]) -> str:
    return lines[0].split()[2]


def pretend_scikit_learn(python: Path) -> None:
    """A warm parent without scikit-learn ends at once: there is nothing to keep warm."""
    (site,) = python.parent.parent.glob("lib/python*/site-packages")
    site.chmod(0o755)
    (site / "sklearn").mkdir(exist_ok=True)
    (site / "sklearn" / "__init__.py").touch()


def trimmed(bench: Bench, count: int) -> list[str]:
    """What nobody holds, removed. A process that is just being started has its worker's locks for a moment."""
    removed: list[str] = []
    deadline = time.monotonic() + 20
    while len(removed) < count and time.monotonic() < deadline:
        removed += bench.executor.environments.trim(0)
        time.sleep(0.01)
    return sorted(removed)


@pytest.mark.parametrize(("used_percent", "most"), [(40, 2), (95, 1)])
def test_only_so_many_environments_are_kept_warm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, used_percent: int, most: int
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(percent=used_percent))
    runtimes = [
        Runtime(bench.executor.environments.prepare(spec, bench.executor.environments.choose(spec)))
        for spec in (read_spec({"pip": [f"iniconfig=={v}"]}) for v in ("1.0.1", "1.1.1", "2.0.0"))
    ]
    for runtime in runtimes:
        pretend_scikit_learn(Path(runtime.python))
    starter = bench.executor.starter
    for runtime in (*runtimes, runtimes[0]):
        starter.keep_warm(1, runtime)
        starter.keep_at_most(2)
        runtime.close()
    hashes = [r.folder.hash for r in runtimes if r.folder]
    by_use = [hashes[1], hashes[2], hashes[0]]
    assert trimmed(bench, 3 - most) == sorted(by_use[:-most])
    assert bench.executor.environments.trim(0) == []
    starter.close()
    assert trimmed(bench, most) == sorted(by_use[-most:])
