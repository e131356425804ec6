"""What goes wrong while scoring, and what must hold then."""

from __future__ import annotations

import ast
import copy
import hashlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil
import pytest
import structlog
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest, RandomForestClassifier, VotingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fitq.errors import ModelUnusable, Unavailable
from fitq.records import ModelRecord
from fitq.scorer import child, process
from fitq.scorer.client import inspect_model
from fitq.scorer.facts import ModelFacts
from fitq.scorer.reasons import why_unusable
from tests.conftest import eventually
from tests.scoring.conftest import (
    KEYS,
    TOKEN,
    Scoring,
    assert_explained,
    assert_one_error_shape,
    running,
    saved,
)

ROWS = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture(scope="module")
def iris_record(scoring: Scoring, iris: Any) -> ModelRecord:
    return scoring.register("iris", iris)


def keep_like(scoring: Scoring, name: str, model: object, like: ModelRecord, method: str) -> None:
    """Keep a model without looking into it first, as if it had been well when it was registered."""
    facts = ModelFacts(
        estimator="Broken", methods=[method], default_method=method, input_schema=like.input_schema
    )
    scoring.keep(name, saved(model), facts)


def expression(text: str) -> Any:
    """A model whose transform evaluates a text: what user code may do, without a module to import."""
    return FunctionTransformer(eval, kw_args={"globals": {"__name__": "x"}}).set_params(func=_Evaluate(text))


class _Evaluate:
    """Pickles as a call of builtins only, so that the child needs nothing of this file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"lambda rows, **_: {self.text}",)

    def __call__(self, rows: Any, **_: Any) -> Any:
        return rows


def test_a_child_killed_while_it_predicts_costs_those_requests_and_no_others(
    scoring: Scoring, iris_record: ModelRecord
) -> None:
    keep_like(scoring, "sleeper", expression("__import__('time').sleep(600)"), iris_record, "transform")
    assert scoring.score("iris", ROWS)
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(scoring.post("/models/sleeper/score", {"data": ROWS}))
    )
    asking.start()
    before = scoring.service.scorer.pid
    eventually(lambda: scoring.service.scorer.waiting >= 1 and "sleeper:1" in scoring.service.models.loaded)
    os.killpg(before, signal.SIGKILL)
    asking.join(30)
    told = assert_one_error_shape(answers[0], 503)
    assert "SIGKILL" in told["message"]
    assert int(answers[0].headers["retry-after"]) >= 1
    assert scoring.score("iris", ROWS)
    assert scoring.service.scorer.pid not in (None, before)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("raises", "1 / 0"),
        ("exits", "__import__('sys').exit(3)"),
        ("short", "rows[:0]"),
        ("scalar", "5"),
        ("nothing", "None"),
    ],
)
def test_a_model_that_misbehaves_is_a_500_of_that_model(
    scoring: Scoring, iris_record: ModelRecord, name: str, text: str
) -> None:
    keep_like(scoring, name, expression(text), iris_record, "transform")
    answer = scoring.post(f"/models/{name}/score", {"data": ROWS})
    told = assert_one_error_shape(answer, 500)
    assert told["message"] == (
        "An unexpected error occurred in scoring script. Check the logs for more info."
    )
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert scoring.score("iris", ROWS)


@pytest.mark.parametrize(
    ("name", "text"),
    [("segfault", "__import__('ctypes').string_at(0)"), ("gone", "__import__('os')._exit(0)")],
)
def test_a_model_that_ends_its_process_does_not_end_scoring(
    scoring: Scoring, iris_record: ModelRecord, name: str, text: str
) -> None:
    keep_like(scoring, name, expression(text), iris_record, "transform")
    told = assert_one_error_shape(scoring.post(f"/models/{name}/score", {"data": ROWS}), 503)
    assert "scorer process ended" in told["message"]
    assert scoring.score("iris", ROWS)


#: What a model may write to the socket of its child, in place of the child's own answer.
FORGED = {
    "endless": r"b'\0\0\0\1' + b'\0' * 4 + b'\x7f' * 8",
    "garbled": r"b''.join(n.to_bytes(4, 'big') + b'\0\0\0\1' + b'\0' * 8 + b'?' for n in range(9999))",
}
FORGING = (
    "[os.write(n, {frames}) for os in [__import__('os')] for n in range(3, 64) if os.path.islink("
    "f'/proc/self/fd/{{n}}') and os.readlink(f'/proc/self/fd/{{n}}').startswith('socket')] "
    "and __import__('time').sleep(600)"
)


@pytest.mark.parametrize("kind", FORGED)
def test_an_answer_that_a_model_forged_is_not_waited_for(
    scoring: Scoring, iris_record: ModelRecord, kind: str
) -> None:
    keep_like(scoring, kind, expression(FORGING.format(frames=FORGED[kind])), iris_record, "transform")
    told = assert_one_error_shape(scoring.post(f"/models/{kind}/score", {"data": ROWS}), 503)
    assert "scorer process ended" in told["message"]
    assert scoring.score("iris", ROWS)


def test_a_model_that_ends_its_process_again_and_again_rests(
    scoring: Scoring, iris_record: ModelRecord
) -> None:
    keep_like(scoring, "again", expression("__import__('os').abort()"), iris_record, "transform")
    answers = [scoring.post("/models/again/score", {"data": ROWS}) for _ in range(5)]
    assert [a.status_code for a in answers] == [503, 503, 503, 500, 500]
    assert "3 times" in answers[-1].json()["message"]
    assert scoring.score("iris", ROWS)


def test_a_model_that_forks_is_answered_once(scoring: Scoring, iris_record: ModelRecord) -> None:
    keep_like(scoring, "forks", expression("(__import__('os').fork(), rows)[1]"), iris_record, "transform")
    assert [scoring.score("forks", ROWS) for _ in range(3)] == [ROWS] * 3


def test_a_model_of_another_scikit_learn_says_so(
    tmp_path: Path, iris: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.joblib"
    with monkeypatch.context() as older:
        older.setattr("sklearn.base.__version__", "1.2.2")
        path.write_bytes(saved(iris))
    facts = inspect_model(path, sample_input=None, seconds=60)
    assert any("1.2.2" in w for w in facts.warnings)
    assert facts.versions.packages["scikit-learn"] != "1.2.2"


def test_what_a_model_prints_does_not_disturb_the_answers(scoring: Scoring, iris_record: ModelRecord) -> None:
    noisy = "(print('x' * 10000), __import__('os').write(1, b'y' * 10000), rows)[2]"
    keep_like(scoring, "noisy", expression(noisy), iris_record, "transform")
    assert scoring.score("noisy", ROWS) == ROWS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__import__('numpy').array([float('nan')])", [None]),
        ("__import__('numpy').array([float('inf'), 1.0])[:1]", [None]),
        ("__import__('numpy').array([{'a': float('nan'), 'b': (1, b'x')}])", [{"a": None, "b": [1, "x"]}]),
        ("__import__('numpy').array(['2020-01-01'], dtype='M8[D]')", ["2020-01-01"]),
        ("__import__('numpy').array([2 ** 70], dtype=object)", [2**70]),
        ("__import__('numpy').array([True])", [True]),
        ("__import__('numpy').array([1], dtype='f2')", [1.0]),
        ("__import__('numpy').array([1 + 2j])", ["(1+2j)"]),
        ("[rows.tolist()]", [ROWS]),
    ],
)
def test_any_answer_is_valid_json(
    scoring: Scoring, iris_record: ModelRecord, text: str, expected: list[Any]
) -> None:
    name = f"any-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    keep_like(scoring, name, expression(text), iris_record, "transform")
    assert scoring.score(name, ROWS) == expected


def test_a_prediction_that_takes_too_long_is_stopped(tmp_path: Path, iris: Any) -> None:
    for scoring in running(tmp_path, score_seconds=0.5):
        record = scoring.register("iris", iris)
        keep_like(scoring, "sleeper", expression("__import__('time').sleep(600)"), record, "transform")
        answer = scoring.post("/models/sleeper/score", {"data": ROWS})
        told = assert_one_error_shape(answer, 503)
        assert "took longer than 0.5 seconds" in told["message"]
        assert scoring.score("iris", ROWS)


def test_a_model_that_keeps_memory_of_each_call_is_started_afresh(tmp_path: Path, iris: Any) -> None:
    """What it leaks is bounded, and it answers again without anybody's doing."""
    kept = "__import__('builtins').__dict__.setdefault('kept', [])"
    for scoring in running(tmp_path, scorer_memory_bytes=3 << 29):
        record = scoring.register("iris", iris)
        leaks = expression(f"({kept}.append(bytearray(300_000_000)), rows)[1]")
        keep_like(scoring, "leaks", leaks, record, "transform")
        first = scoring.score("leaks", ROWS)
        answers = [scoring.post("/models/leaks/score", {"data": ROWS}) for _ in range(12)]
        refused = [a for a in answers if a.status_code != 200]
        assert any(a.status_code == 200 for a in answers[answers.index(refused[0]) :])
        assert "needs more memory" in assert_one_error_shape(refused[0], 503)["message"]
        assert all(a.json() == first for a in answers if a not in refused)
        assert scoring.service.scorer.starts > 1


class _Away:
    """An object store that can be switched off."""

    def __init__(self, objects: Any) -> None:
        self._objects = objects
        self.is_away = False
        self.opened = 0

    def __getattr__(self, name: str) -> Any:
        self.opened += name == "open"
        return _does_not_answer if self.is_away else getattr(self._objects, name)


def _does_not_answer(*_: Any) -> None:
    raise Unavailable("The object store does not answer.")


def other(iris: Any) -> Any:
    """The same model in other bytes, so that no cached file stands in for them."""
    different = copy.copy(iris)
    different.fitted_for = uuid.uuid4().hex
    return different


def test_without_the_object_store_loaded_models_answer_and_others_are_told_to_wait(
    scoring: Scoring, iris_record: ModelRecord, iris: Any
) -> None:
    scoring.keep("cold", saved(other(iris)), iris_record)
    scoring.score("iris", ROWS)
    scoring.deploy("kept", "iris", {"1": 100})
    assert scoring.post("/api/v1/service/kept/score", {"data": ROWS}).status_code == 200
    catalog, away = scoring.service.catalog, _Away(scoring.objects)
    kept, catalog.objects, scoring.service.objects = catalog.objects, away, away
    away.is_away = True
    try:
        assert scoring.score("iris", ROWS)
        assert scoring.post("/api/v1/service/kept/score", {"data": ROWS}).status_code == 200
        assert scoring.client.get("/readyz").status_code == 200
        answer = scoring.post("/models/cold/score", {"data": ROWS})
        assert_one_error_shape(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        assert_one_error_shape(scoring.post("/models/unknown/score", {"data": ROWS}), 503)
    finally:
        catalog.objects = scoring.service.objects = kept
    assert scoring.score("cold", ROWS)


def test_many_first_requests_cause_one_download_and_one_load(
    scoring: Scoring, iris_record: ModelRecord, iris: Any
) -> None:
    scoring.keep("crowd", saved(other(iris)), iris_record)
    counted, loads = _Away(scoring.objects), scoring.service.scorer.loads
    kept, scoring.service.catalog.objects = scoring.service.catalog.objects, counted
    try:
        with ThreadPoolExecutor(16) as many:
            answers = list(many.map(lambda _: scoring.score("crowd", ROWS), range(16)))
    finally:
        scoring.service.catalog.objects = kept
    assert all(a == answers[0] for a in answers)
    assert counted.opened == 1
    assert scoring.service.scorer.loads == loads + 1


def test_a_model_answers_from_the_moment_it_is_registered(scoring: Scoring, iris: Any) -> None:
    assert scoring.post("/models/soon/score", {"data": ROWS}).status_code == 404
    scoring.register("soon", iris)
    assert scoring.score("soon", ROWS)


def test_bytes_that_changed_are_never_loaded(scoring: Scoring, iris_record: ModelRecord, iris: Any) -> None:
    record = scoring.keep("changed", saved(other(iris)), iris_record)
    scoring.objects.put(record.object_key, saved(iris)[:-1] + b"!")
    told = assert_one_error_shape(scoring.post("/models/changed/score", {"data": ROWS}), 503)
    assert record.object_key in told["message"]
    about = scoring.get("/models/changed").json()
    assert (about["state"], about["replay"]) == ("Unhealthy", {"state": "not recorded"})


@pytest.mark.parametrize(
    ("cut", "names", "reason"),
    [
        (50, None, "cut short"),
        (0, ["sklearn.linear_model._logistic LogisticRegression"], "import what it may not"),
    ],
    ids=["cut short", "forbidden"],
)
def test_a_file_that_does_not_load_is_an_error_of_that_model(
    scoring: Scoring, iris_record: ModelRecord, iris: Any, cut: int, names: list[str] | None, reason: str
) -> None:
    data = saved(other(iris))
    name = f"wrong-{cut}"
    scoring.keep(name, data[: len(data) - cut], iris_record, names=names)
    told = assert_one_error_shape(scoring.post(f"/models/{name}/score", {"data": ROWS}), 500)
    assert reason in told["message"]
    assert reason in scoring.get(f"/models/{name}").json()["problem"]
    assert scoring.score("iris", ROWS)


def test_a_model_that_refuses_one_of_several_rows_is_asked_which(
    scoring: Scoring, iris_record: ModelRecord
) -> None:
    refuses = "(_ for _ in ()).throw(ValueError('Input contains 13.')) if {} else rows * 2"
    keep_like(scoring, "picky", expression(refuses.format("(rows == 13).any()")), iris_record, "transform")
    keep_like(
        scoring, "pairs", expression(refuses.format("(rows == 13).sum() > 1")), iris_record, "transform"
    )
    good, bad = ROWS[0], [*ROWS[0][:3], 13.0]
    for at in (0, 1, 4, 6):
        rows = [good] * 7
        rows[at] = bad
        answer = scoring.post("/models/picky/score", {"data": rows})
        told = assert_one_error_shape(answer, 400)
        assert (told["at"], told["got"]) == (f"row {at}", "Input contains 13.")
        assert told["message"] == f"The model refuses row {at}: Input contains 13."
    assert scoring.post("/models/picky/score", {"data": [bad]}).json()["at"] == "row 0"
    assert_explained(scoring, answer)
    told = scoring.post("/models/pairs/score", {"data": [good, bad, good, bad]}).json()
    assert told["at"] == "$.data", "none of them is refused alone"


def test_bytes_that_are_gone_are_an_error_of_ours(
    scoring: Scoring, iris_record: ModelRecord, iris: Any
) -> None:
    record = scoring.keep("lost", saved(other(iris)), iris_record)
    scoring.objects.delete(record.object_key)
    assert_one_error_shape(scoring.post("/models/lost/score", {"data": ROWS}), 500)


def test_a_child_holds_no_secret_and_uses_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    scorer = process.start()
    try:
        scorer.wait_until_started()
        seen = eventually(Path(f"/proc/{scorer.pid}/environ").read_bytes)
        assert b"FITQ_" not in seen
        assert b"secret" not in seen
        assert b"OMP_NUM_THREADS=1" in seen
        files = psutil.Process(scorer.pid).net_connections(kind="inet")
        assert files == []
    finally:
        scorer.kill()


def test_a_model_computes_with_one_thread(scoring: Scoring, iris_record: ModelRecord) -> None:
    threads = "max(p['num_threads'] for p in __import__('threadpoolctl').threadpool_info())"
    text = f"__import__('numpy').full((len(rows), 1), {threads})"
    keep_like(scoring, "threads", expression(text), iris_record, "transform")
    assert scoring.score("threads", ROWS) == [[1]]


def test_every_part_of_a_model_is_loaded_with_one_job(tmp_path: Path) -> None:
    voting = VotingClassifier([("a", RandomForestClassifier(2)), ("b", KNeighborsClassifier())])
    model = make_pipeline(StandardScaler(), voting).fit([[0.0], [1.0]] * 5, [0, 1] * 5)
    for part in (voting, *voting.estimators_):
        part.n_jobs = 2
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    voting = child.load(str(path)).model[-1]
    assert [part.n_jobs for part in (voting, *voting.estimators_, *voting.named_estimators_.values())] == [
        1
    ] * 5


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    program = (
        "import time; from fitq.scorer import process; scorer = process.start(); "
        "scorer.wait_until_started(); print(scorer.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert _is_running(pid)
    parent.kill()
    parent.communicate()
    eventually(lambda: not _is_running(pid), what="the child is gone")


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_log_tells_each_request_in_one_line_and_never_its_rows(
    scoring: Scoring, iris_record: ModelRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitq.logs._sink", None)  # as in a program whose logs nobody has configured
    with structlog.testing.capture_logs() as lines:
        scoring.post("/models/iris/score", {"data": [[5.123456, 3, 1, 1]]}, headers={"x-request-id": "one"})
        scoring.post("/models/iris/score", {"data": [["6.123456", 3, 1, 1]]}, headers={"x-request-id": "two"})
        scoring.get("/metrics")  # what was answered is told before it is counted there
    told = [line for line in lines if line["event"] == "answered"]
    assert [(t["request_id"], t["model"], t["rows"], t["status"]) for t in told] == [
        ("one", "iris:1", 1, 200), ("two", "iris:1", 0, 400)
    ]  # fmt: skip
    assert ".123456" not in str(lines)


def test_when_the_program_stops_no_process_is_left(tmp_path: Path, iris: Any) -> None:
    for scoring in running(tmp_path):
        scoring.register("iris", iris)
        scoring.score("iris", ROWS)
        pid = scoring.service.scorer.pid
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "joblib or pickle file"),
        (b"hello", "joblib or pickle file"),
        (saved(np.zeros(100))[:-20], "joblib or pickle file"),
        (saved(BaseEstimator())[:-20], "joblib or pickle file"),
        (
            b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x08nopackag\x94\x8c\x05Thing\x94\x93\x94.",
            "nopackag",
        ),
        (b"c__main__\nScale\n.", "training script itself"),
        (b"cos\n_exit\n(I7\ntR.", "exit code 7"),
    ],
    ids=["empty", "text", "cut short", "cut short but named", "missing package", "main", "exits"],
)
def test_a_file_that_is_not_a_model_is_refused_with_a_reason(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(data)
    with pytest.raises(ModelUnusable, match=reason):
        inspect_model(path, sample_input=None, seconds=60)


def test_a_model_that_another_version_wrote_and_this_cannot_read_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.joblib"
    with monkeypatch.context() as older:
        older.setattr("sklearn.base.__version__", "0.24.2")
        path.write_bytes(saved(IsolationForest(n_estimators=2).fit([[1.0], [2.0]])))
    told = why_unusable({"type": "ValueError", "message": "node array has an incompatible dtype"}, path)
    assert "written by scikit-learn 0.24.2" in told.message


@pytest.mark.parametrize(
    "file", [*sorted(process.MODELS.parent.glob("*.py")), process.ENTRY], ids=lambda f: f.name
)
def test_the_child_runs_on_old_pythons_with_nothing_but_their_standard_library(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 6))
    for node in tree.body:
        if isinstance(node, ast.Import):
            assert {n.name.split(".")[0] for n in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom):
            assert node.level or str(node.module).split(".")[0] in sys.stdlib_module_names


def test_a_sample_that_the_model_refuses_is_named(tmp_path: Path, iris: Any) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(iris))
    with pytest.raises(ModelUnusable, match="features"):
        inspect_model(path, sample_input=[[1.0, 2.0]], seconds=60)
    with pytest.raises(ModelUnusable, match="equal length"):
        inspect_model(path, sample_input=[[1.0], [1.0, 2.0]], seconds=60)
    with pytest.raises(ModelUnusable, match="longer than"):
        inspect_model(path, sample_input=None, seconds=0.01)


def test_keys_are_where_the_registry_keeps_them(iris_record: ModelRecord) -> None:
    assert iris_record.object_key == KEYS.model_file("iris", iris_record.sha256)
    assert np.isfinite(iris_record.size_bytes)
