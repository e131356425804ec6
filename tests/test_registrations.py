"""Files that become models when their run completes: once each, whoever asks, whatever is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fitq import drafts
from fitq.backend import Backend
from fitq.errors import NotFound, Unavailable
from fitq.records import ModelRecord, Registration, RunStatus
from fitq.scheduler.care import Care
from fitq.settings import Settings
from tests.test_execute import Bench

SCRIPT = """
import joblib
from azureml.core import Run
from sklearn.linear_model import LogisticRegression
joblib.dump(LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"]), "outputs/answer.joblib")
Run.get_context().register_model("answer", "outputs/answer.joblib", tags={"by": "script"})
"""


@pytest.fixture
def bench(backend: Backend, settings: Settings, tmp_path: Path) -> Bench:
    (tmp_path / "sources").mkdir()
    Path(settings.work_dir).mkdir()
    return Bench(backend, settings, tmp_path / "sources")


def versions(bench: Bench, name: str) -> list[ModelRecord]:
    models = bench.backend.catalog
    try:
        return [models.model(name, version) for version in models.summary(name).versions]
    except NotFound:
        return []


def test_a_script_and_a_submitter_both_get_their_model(bench: Bench) -> None:
    run = bench.run(SCRIPT, register=[Registration(name="asked")])
    assert (run.status, run.warnings) == (RunStatus.COMPLETED, [])
    assert [(m.version, m.run, m.path, m.tags) for m in versions(bench, "answer")] == [
        (1, run.id, "outputs/answer.joblib", {"by": "script"})
    ]
    assert [m.path for m in versions(bench, "asked")] == ["outputs/answer.joblib"]
    assert not bench.backend.objects.size(bench.backend.keys.open_run(run.id))


def test_a_run_that_fails_leaves_no_model(bench: Bench) -> None:
    run = bench.run(SCRIPT + "raise SystemExit(1)")
    assert run.status is RunStatus.FAILED
    assert versions(bench, "answer") == []


def test_what_is_no_model_is_a_warning_and_the_run_completes(bench: Bench) -> None:
    run = bench.run(
        "open('outputs/model.joblib', 'w').write('x')",
        register=[Registration(name="m"), Registration(name="n", path="outputs/nothing.joblib")],
    )
    assert run.status is RunStatus.COMPLETED
    first, second = run.warnings
    assert first.startswith("Model 'm' was not registered: ")
    assert "no file 'outputs/nothing.joblib'. Did you mean" in second
    assert versions(bench, "m") == []


def test_a_worker_lost_after_the_runs_end_leaves_the_models_to_the_scheduler(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(backend: Backend, run_id: str) -> list[ModelRecord]:
        raise Unavailable("The worker ends here.")

    with monkeypatch.context() as lost:
        lost.setattr(drafts, "complete", away)
        run = bench.run(SCRIPT)
    assert (run.status, versions(bench, "answer")) == (RunStatus.COMPLETED, [])
    care = Care(bench.backend, 1.0)
    assert care.restore_open() == 0
    assert [m.run for m in versions(bench, "answer")] == [run.id]
    assert not bench.backend.objects.size(bench.backend.keys.open_run(run.id))


def test_completing_again_and_at_the_same_time_makes_one_version(bench: Bench) -> None:
    run = bench.run(SCRIPT)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: drafts.complete(bench.backend, run.id), range(16)))
    assert len(versions(bench, "answer")) == 1
