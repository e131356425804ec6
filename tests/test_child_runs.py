"""Child runs: parts of a run with metrics, tags and files of their own, kept with the run that made them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fitq import child_runs, runs
from fitq.backend import Backend
from fitq.errors import Conflict, NotFound
from fitq.records import RunStatus
from fitq.settings import Settings
from tests.test_execute import Bench

SCRIPT = """
from azureml.core import Run
run = Run.get_context()
for c in (0.1, 1.0):
    with run.child_run(name="C=%s" % c) as child:
        child.log("accuracy", 0.5 + c / 10)
        child.tag("c", c)
        open("note.txt", "w").write(str(c))
        child.upload_file("outputs/note.txt", "note.txt")
try:
    with run.child_run("broken") as child:
        raise ValueError("no such kernel")
except ValueError:
    pass
left_open = run.create_children(tag_key="fold", tag_values=[7])[0]
left_open.log("n", 1)
run.log("best", 0.6)
made = run.get_children()
print([c.id == run.id + "-%d" % n for n, c in zip((4, 3, 2, 1), made)], child.parent.id == run.id)
"""


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path) -> Bench:
    (tmp_path / "sources").mkdir()
    Path(settings.work_dir).mkdir()
    return Bench(backend, settings, tmp_path / "sources")


def test_each_child_keeps_what_is_its_own(bench: Bench) -> None:
    run = bench.run(SCRIPT)
    assert run.status is RunStatus.COMPLETED, bench.log(run)
    assert bench.log(run) == "[True, True, True, True] True\n"
    children = child_runs.of(bench.backend, run)
    assert [(c.id, c.title, c.status) for c in children] == [
        (f"{run.id}-1", "C=0.1", RunStatus.COMPLETED),
        (f"{run.id}-2", "C=1.0", RunStatus.COMPLETED),
        (f"{run.id}-3", "broken", RunStatus.FAILED),
        (f"{run.id}-4", "train.py", RunStatus.COMPLETED),
    ]
    assert children[2].failure is not None
    assert children[2].failure.message == "ValueError: no such kernel"
    assert [c.tags for c in children] == [{"c": "0.1"}, {"c": "1.0"}, {}, {"fold": "7"}]
    assert list(runs.metrics(bench.backend, run)) == ["best"]

    second = runs.find(bench.backend, f"{run.id}-2")
    assert (second.parent, second.experiment) == (run.id, run.experiment)
    assert [p.value for p in runs.metrics(bench.backend, second)["accuracy"]] == [0.6]
    assert bench.files(second) == ["outputs/note.txt"]
    _, pieces = runs.open_artifact(bench.backend, second, "outputs/note.txt")
    assert b"".join(pieces) == b"1.0"
    assert runs.read_log(bench.backend, second.id).complete
    assert bench.files(run) == ["user_logs/std_log.txt"]


def test_a_child_that_was_left_open_ends_as_its_run_does(bench: Bench) -> None:
    run = bench.run(SCRIPT + "raise SystemExit(3)")
    last = child_runs.of(bench.backend, run)[-1]
    assert last.status is run.status is RunStatus.FAILED
    assert last.failure is not None
    assert "with the run that made it" in last.failure.message


def test_there_are_no_children_of_children_nor_of_nothing(bench: Bench) -> None:
    run = bench.run("from azureml.core import Run\nRun.get_context().child_run().child_run()")
    assert run.failure is not None
    assert "no child runs of its own" in run.failure.message
    only = runs.find(bench.backend, f"{run.id}-1")
    assert child_runs.of(bench.backend, only) == []
    with pytest.raises(NotFound):
        runs.find(bench.backend, f"{run.id}-2")
    with pytest.raises(Conflict):
        runs.cancel(bench.backend, only.id)


def test_files_that_are_none_of_a_child_make_none(bench: Bench) -> None:
    run = bench.run(
        "import os\nfolder = os.environ['FITQ_RUN_FOLDER'] + '/children'\n"
        "os.makedirs(folder + '/1')\nopen(folder + '/1/child.jsonl', 'wb').write(b'\\xff{}\\n[1]\\n')\n"
        "os.symlink('/etc', folder + '/2')\nos.makedirs(folder + '/../x')\nopen(folder + '/3', 'w').close()\n"
    )
    assert run.status is RunStatus.COMPLETED
    assert [c.id for c in child_runs.of(bench.backend, run)] == [f"{run.id}-1"]


def test_more_child_runs_than_are_kept_is_a_warning_on_the_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitq.worker.children._MOST", 2)
    run = bench.run("from azureml.core import Run\nRun.get_context().create_children(3)")
    assert [c.id for c in child_runs.of(bench.backend, run)] == [f"{run.id}-1", f"{run.id}-2"]
    assert run.warnings == ["3 child runs were made; 2 are kept."]


def test_files_of_child_runs_beyond_the_bound_are_left_out_with_a_warning(bench: Bench) -> None:
    small = dataclasses.replace(bench.executor.settings, output_bytes=10)
    bench.executor = dataclasses.replace(bench.executor, settings=small)
    run = bench.run(
        "from azureml.core import Run\nimport io\nrun = Run.get_context()\n"
        "for n in (1, 2): run.child_run().upload_file('x.txt', io.StringIO('x' * 7))\n"
    )
    first, second = child_runs.of(bench.backend, run)
    assert (bench.files(first), bench.files(second)) == (["outputs/x.txt"], [])
    assert run.warnings == [
        "'children/2/outputs/x.txt' has 7 bytes; there was room for 3 (FITQ_OUTPUT_BYTES)"
    ]
