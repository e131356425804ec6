"""A submitted run in its owner's hands, against a scripted platform."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fitq import ActivityFailedException, Experiment, Run, ScriptRunConfig
from fitq.errors import InvalidRequest, NotFound, RunFailed
from fitq.sdk import watching
from fitq.sdk.transfer import below
from tests.sdk.conftest import Routes

RUN: dict[str, Any] = {
    "id": "train-1",
    "experiment": "e",
    "status": "Completed",
    "created_at": "2026-01-01T00:00:00Z",
    "pool": "default",
    "script": "train.py",
    "arguments": ["--penalty", "1.0"],
    "warnings": ["Environment 'myenv' resolves to the worker's own packages."],
    "timeline": [
        {"status": "Running", "at": "2026-01-01T00:00:01Z", "attempt": 1},
        {"status": "Completed", "at": "2026-01-01T00:00:02Z", "attempt": 1},
    ],
}
FAILED = {
    **RUN,
    "status": "Failed",
    "failure": {
        "kind": "user_error",
        "message": "The script raised ValueError.",
        "lines": ["ValueError: bad kernel"],
        "hint": "Use linear.",
        "exit_code": 1,
        "where": "train.py:7",
        "versions": {"scikit-learn": "1.9.1"},
    },
}
FILES = ["logs/a.log", "outputs/model.joblib", "outputs/sub/b.txt", "user_logs/std_log.txt"]


def point(value: object, step: int | None = None) -> dict[str, Any]:
    return {"value": value, "step": step, "at": "2026-01-01T00:00:00Z"}


def sse(*events: tuple[str, str, str]) -> httpx2.Response:
    text = "".join(f"id: {n}\nevent: {kind}\ndata: {data}\n\n" for n, kind, data in events)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=text.encode())


def answers(**changes: Any) -> dict[str, Any]:
    runs = "/v1/runs/train-1"
    return {
        f"GET {runs}": RUN,
        f"GET {runs}/artifacts": {"artifacts": [{"path": f, "size_bytes": 4} for f in FILES]},
        **{f"GET {runs}/artifacts/{f}": httpx2.Response(200, content=f.encode()) for f in FILES},
        f"GET {runs}/metrics": {
            "metrics": {
                "Kernel type": [point("linear")],
                "loss": [point(2.0, 0), point("nan", 1)],
                "fold": [point({"n": 1, "acc": 0.5}), point({"n": 2, "acc": 0.75})],
            }
        },
        f"GET {runs}/logs": lambda _: sse(
            ("0", "status", "Running"), ("6", "log", '"hello\\n"'), ("6", "end", "Completed")
        ),
        **changes,
    }


@pytest.fixture
def routes() -> Routes:
    return Routes(answers())


@pytest.fixture
def run(routes: Routes) -> Run:
    return Run.get(routes.workspace(), "train-1")


def test_waiting_with_output_streams_the_log_between_azures_lines(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    details = run.wait_for_completion(show_output=True)
    assert capsys.readouterr().out == (
        "RunId: train-1\n"
        "Web View: http://platform:8700/runs/train-1\n"
        "\n"
        "Streaming user_logs/std_log.txt\n"
        "===============================\n"
        "\n"
        "hello\n"
        "\n"
        "Execution Summary\n"
        "=================\n"
        "RunId: train-1\n"
        "Web View: http://platform:8700/runs/train-1\n"
        "\n"
        "Warnings:\n"
        "Environment 'myenv' resolves to the worker's own packages.\n"
        "\n"
    )
    assert details["status"] == "Completed"


def test_a_failed_run_raises_what_went_wrong(routes: Routes, run: Run) -> None:
    routes.answers["GET /v1/runs/train-1"] = FAILED
    with pytest.raises(ActivityFailedException, match="bad kernel") as caught:
        run.wait_for_completion()
    assert isinstance(caught.value, RunFailed)
    assert str(caught.value) == (
        "Run train-1 is Failed.\n"
        "user_error: The script raised ValueError. (train.py:7)\n"
        "    ValueError: bad kernel\n"
        "Versions: scikit-learn 1.9.1\n"
        "Use linear."
    )
    assert run.wait_for_completion(raise_on_error=False)["error"] == {
        "error": {"code": "user_error", "message": "The script raised ValueError."}
    }


def test_an_interrupt_leaves_the_run_running_and_says_so(routes: Routes, run: Run) -> None:
    def interrupted(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    routes.answers["GET /v1/runs/train-1/logs"] = interrupted
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        watching.show(run._client, run.id, out)
    assert "run train-1 goes on" in out.getvalue()
    assert "fitq runs cancel train-1" in out.getvalue()
    assert not [r for r in routes.requests if r.method == "POST"]


def test_a_queue_without_workers_is_explained(routes: Routes, run: Run) -> None:
    reason = "no worker in pool default; it gets one so: fitq pools scale default 1"
    timeline = [{"status": "Queued", "at": "2026-01-01T00:00:00Z", "attempt": 0, "reason": reason}]
    seen = iter([{**RUN, "status": "Queued", "timeline": timeline}] * 30)
    routes.answers["GET /v1/runs/train-1"] = lambda _: next(seen, RUN)
    routes.answers["GET /v1/pools/default"] = {"name": "default", "queued": 1, "workers": 0}
    out = io.StringIO()
    watching.show(run._client, run.id, out)
    assert out.getvalue().count(f"Queued: {reason}") == 1


def test_a_queue_whose_workers_start_nothing_is_explained(routes: Routes, run: Run) -> None:
    problem = "vm-1: its disk is too full to start runs"
    routes.answers["GET /v1/pools/default"] = {"name": "default", "workers": 1, "problem": problem}
    assert problem in watching.why_queued(run._client, run.record)


def test_a_terminal_without_a_character_still_shows_the_rest(run: Run) -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii")
    watching.write(terminal, "größer\n")
    assert raw.getvalue() == b"gr??er\n"


def test_details_have_azures_keys(run: Run) -> None:
    details = run.get_details()
    assert set(details) == {
        *("runId", "target", "status", "startTimeUtc", "endTimeUtc", "error", "warnings", "properties"),
        *("inputDatasets", "outputDatasets", "runDefinition", "logFiles", "submittedBy"),
    }
    assert details["runDefinition"]["arguments"] == ["--penalty", "1.0"]
    assert details["startTimeUtc"] == "2026-01-01T00:00:01+00:00"
    assert list(details["logFiles"]) == ["logs/a.log", "user_logs/std_log.txt"]
    json.dumps(details)


def test_metrics_are_scalars_lists_or_columns(run: Run) -> None:
    found = run.get_metrics()
    assert found["Kernel type"] == "linear"
    assert found["loss"][0] == 2.0
    assert found["loss"][1] != found["loss"][1]  # NaN
    assert found["fold"] == {"n": [1, 2], "acc": [0.5, 0.75]}
    assert run.get_metrics("Kernel type") == {"Kernel type": "linear"}
    assert run.get_metrics("nothing") == {}


def test_files_are_listed_and_downloaded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.get_file_names() == FILES
    assert Path(run.download_file("outputs/model.joblib")).read_text() == "outputs/model.joblib"
    assert run.download_file("outputs/model.joblib", f"{tmp_path}/new/") == f"{tmp_path}/new/model.joblib"
    run.download_files("outputs", "all")
    assert (tmp_path / "all/outputs/sub/b.txt").exists()
    run.download_files("outputs", "bare", append_prefix=False)
    assert (tmp_path / "bare/sub/b.txt").exists()
    assert [Path(p).name for p in run.get_all_logs("l")] == ["a.log", "std_log.txt"]
    with pytest.raises(NotFound, match="no files below"):
        run.download_files("output")
    with pytest.raises(NotFound, match="leads out"):
        below(tmp_path, "../x", "", True)


def test_a_submitted_run_says_where_the_rest_is(run: Run) -> None:
    with pytest.raises(AttributeError, match="Log inside the script"):
        run.log("a", 1)
    with pytest.raises(AttributeError, match=r"did you mean|Did you mean"):
        run.get_metric()
    assert "<table>" in run._repr_html_()


def test_a_script_is_looked_for_before_anything_is_sent(routes: Routes, tmp_path: Path) -> None:
    experiment = Experiment(routes.workspace(), "e")
    (tmp_path / "train.py").write_text("print()")
    (tmp_path / "secret.py").write_text("print()")
    (tmp_path / ".amlignore").write_text("secret.py\n")
    with pytest.raises(InvalidRequest, match=r"Did you mean 'train.py'"):
        experiment.submit(ScriptRunConfig(tmp_path, "trian.py"))
    with pytest.raises(InvalidRequest, match="ignore file"):
        experiment.submit(ScriptRunConfig(tmp_path, "secret.py"))
    with pytest.raises(InvalidRequest, match="nothing to run"):
        experiment.submit(ScriptRunConfig(tmp_path))
    with pytest.raises(InvalidRequest, match="no folder"):
        experiment.submit(ScriptRunConfig(tmp_path / "none", "train.py"))
    with pytest.raises(InvalidRequest, match="cannot be submitted"):
        experiment.submit("train.py")  # type: ignore[arg-type]
    assert not routes.requests


def test_submitting_a_script_sends_its_folder_then_the_run(routes: Routes, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print()")
    routes.answers["POST /v1/snapshots"] = {"id": "a" * 64}
    routes.answers["POST /v1/runs"] = httpx2.Response(202, json=RUN)
    run = Experiment(routes.workspace(), "e").submit(ScriptRunConfig(tmp_path, "train.py"), tags={"n": 1})
    assert run.id == "train-1"
    body = json.loads(routes.requests[1].content)
    assert (body["snapshot"], body["script"], body["tags"]) == ("a" * 64, "train.py", {"n": "1"})
    routes.answers["POST /v1/runs"] = httpx2.Response(202, json={**RUN, "function": "iris"})
    Experiment(routes.workspace(), "e").call("iris", penalty=0.5)
    assert json.loads(routes.requests[2].content) == {
        "experiment": "e",
        "function": "iris",
        "parameters": {"penalty": 0.5},
    }
