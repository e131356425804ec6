"""Files that become models when their run completes: once each, whoever asks, whatever is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest

from fitq import drafts, registry, runs
from fitq.backend import Backend
from fitq.errors import ModelUnusable, NotFound, Unavailable
from fitq.records import ModelRecord, RegisterRequest, Registration, RunStatus
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


OWN_FUNCTION = """
import joblib
from sklearn.preprocessing import FunctionTransformer

class Text:
    def __reduce__(self):
        return eval, ("lambda rows: rows",)

    def __call__(self, rows):
        return rows

joblib.dump(FunctionTransformer(Text()), "outputs/own.joblib")
"""


def test_a_file_of_a_run_that_comes_back_as_an_upload_is_that_runs_file(bench: Bench, tmp_path: Path) -> None:
    run = bench.run(OWN_FUNCTION)
    _, pieces = runs.open_artifact(bench.backend, run, "outputs/own.joblib")
    (tmp_path / "again.joblib").write_bytes(b"".join(pieces))
    request = RegisterRequest(name="again", sample_input=[[1.0]])
    model = registry.register(bench.backend, request, upload=tmp_path / "again.joblib")
    assert (model.run, model.names, model.path) == (run.id, None, "again.joblib")
    assert model.versions.packages["scikit-learn"] == run.versions.packages["scikit-learn"]

    (tmp_path / "again.joblib").write_bytes((tmp_path / "again.joblib").read_bytes() + b" ")
    with pytest.raises(ModelUnusable, match=r"builtins\.eval"):
        registry.register(bench.backend, request, upload=tmp_path / "again.joblib")


def test_looking_into_a_file_takes_no_more_memory_than_it_may(bench: Bench, tmp_path: Path) -> None:
    joblib.dump(np.zeros(50_000_000), tmp_path / "large.joblib", compress=1)
    request = RegisterRequest(name="large")
    with pytest.raises(ModelUnusable, match="more memory than it may have"):
        registry.register(bench.backend, request, upload=tmp_path / "large.joblib", memory_bytes=300_000_000)


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
