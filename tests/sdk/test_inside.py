"""`Run.get_context()` inside a run writes its folder; outside it shows and keeps nothing."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitq import Run
from fitq.sdk.inside.current import CurrentRun


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FITQ_RUN_FOLDER", str(tmp_path))
    monkeypatch.setenv("FITQ_OUTPUTS", str(tmp_path / "code/outputs"))
    monkeypatch.setenv("FITQ_RUN_ID", "iris-1")
    monkeypatch.setenv("FITQ_EXPERIMENT", "flowers")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> CurrentRun:
    return Run.get_context()


def logged(folder: Path, file: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / file).read_text().splitlines()]


def test_the_context_knows_its_run(run: CurrentRun) -> None:
    assert (run.id, run.experiment.name, run.get_status()) == ("iris-1", "flowers", "Running")
    with pytest.raises(AttributeError, match="holds no token"):
        _ = run.experiment.workspace


def test_azure_s_names_of_secrets_find_those_that_the_run_names(
    run: CurrentRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    assert run.get_secrets(["DB_PASSWORD", "db-password"]) == {
        "DB_PASSWORD": "hunter2",
        "db-password": "hunter2",
    }
    with pytest.raises(KeyError, match="--secret API_KEY"):
        run.get_secret("api-key")


def test_scalars_texts_and_numpy_values_are_logged(run: CurrentRun, folder: Path) -> None:
    run.log("Kernel type", "linear")
    run.log("Penalty", np.float64(1.5), step=3)
    run.log("n", np.int64(7), "a description")
    assert [(m["name"], m["value"], m["step"]) for m in logged(folder)] == [
        ("Kernel type", "linear", None),
        ("Penalty", 1.5, 3),
        ("n", 7, None),
    ]


@pytest.mark.parametrize("value", [[1, 2], np.array([1.0, 2.0]), {"a": 1}])
def test_a_list_is_not_a_scalar_and_the_error_names_log_list(run: CurrentRun, value: Any) -> None:
    with pytest.raises(TypeError, match="log_list"):
        run.log("x", value)


def test_rows_and_tables_are_gathered_by_column(run: CurrentRun, capsys: pytest.CaptureFixture[str]) -> None:
    run.log("once", 1)
    run.log("loss", 2.0)
    run.log("loss", math.nan)
    run.log_list("acc", np.array([0.5, 0.75]))
    run.log_row("fold", kind="a", score=np.float32(0.5))
    run.log_table("sines", {"x": [0, 1], "y": [0.0, 0.5]})
    run.log_table("ragged", {"x": [0, 1], "y": 5})
    found = run.get_metrics()
    assert math.isnan(found.pop("loss")[1])
    assert found == {
        "once": 1,
        "acc": [0.5, 0.75],
        "fold": {"kind": "a", "score": 0.5},
        "sines": {"x": [0, 1], "y": [0.0, 0.5]},
        "ragged": {"x": [0, 1], "y": [5, None]},
    }
    assert run.get_metrics("once") == {"once": 1}
    assert "differ in length" in capsys.readouterr().err


class Plot:
    def savefig(self, path: str) -> None:
        Path(path).write_bytes(b"png")


def test_images_and_documents_become_outputs(run: CurrentRun, tmp_path: Path) -> None:
    picture = tmp_path / "my plot.svg"
    picture.write_text("<svg/>")
    run.log_image("../../escape", path=str(picture))
    run.log_image("curve", plot=Plot())
    run.log_image("curve", plot=Plot())
    run.log_confusion_matrix("cm", '{"data": {"matrix": [[1, 0], [0, 1]]}}')
    run.log_predictions("p", {"data": np.array([1, 2])})
    assert run.get_metrics() == {
        "../../escape": "outputs/images/escape.svg",
        "curve": ["outputs/images/curve.png", "outputs/images/curve-2.png"],
        "cm": "outputs/metrics/cm.json",
        "p": "outputs/metrics/p.json",
    }
    assert set(run.get_file_names()) == {
        *("outputs/images/escape.svg", "outputs/images/curve.png", "outputs/images/curve-2.png"),
        *("outputs/metrics/cm.json", "outputs/metrics/p.json"),
    }
    with pytest.raises(ValueError, match="either path or plot"):
        run.log_image("x")


def test_files_are_kept_inside_outputs_only(run: CurrentRun, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("hello")
    run.upload_file("a/b.txt", str(source))
    run.upload_file("outputs/c.txt", io.BytesIO(b"bytes"))
    kept = tmp_path / "code/outputs/c.txt"
    run.upload_file("outputs/c.txt", str(kept))  # itself
    run.upload_file("logs/d.txt", str(source))
    (tmp_path / "more/deep").mkdir(parents=True)
    (tmp_path / "more/deep/e.txt").write_text("e")
    run.upload_folder("tree", str(tmp_path / "more"))
    run.upload_files(["f.txt"], [str(source)])
    assert run.get_file_names() == [
        *("outputs/a/b.txt", "outputs/c.txt", "outputs/f.txt", "outputs/tree/deep/e.txt")
    ]
    assert kept.read_bytes() == b"bytes"
    assert (tmp_path / "code/logs/d.txt").read_text() == "hello"
    for wrong in ("../x", "/etc/x", "outputs/../../x", ""):
        with pytest.raises(ValueError, match="not a path inside"):
            run.upload_file(wrong, str(source))


def test_tags_change_and_properties_do_not(
    run: CurrentRun, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.tag("best")
    run.set_tags({"stage": 1})
    run.remove_tags(["stage", "asked"])
    run.add_properties({"data": "v1"})
    run.add_properties({"data": "v2"})
    assert logged(folder, "properties.jsonl") == [
        {"tag": {"best": ""}},
        {"tag": {"stage": "1"}},
        {"untag": ["stage", "asked"]},
        {"property": {"data": "v1"}},
    ]
    assert run.get_properties() == {"data": "v1"}
    assert run.get_tags() == {"best": ""}
    assert "set already" in capsys.readouterr().err


def test_a_file_is_promised_as_a_model_and_a_missing_one_is_told_at_once(
    run: CurrentRun, folder: Path
) -> None:
    (folder / "code/outputs/model.joblib").write_bytes(b"x")
    model = run.register_model(
        "iris", "outputs/model.joblib", tags={"n": 1}, model_framework="ScikitLearn", description="d"
    )
    assert (model.name, model.version) == ("iris", None)
    assert "when run iris-1 completes" in repr(model)
    assert logged(folder, "properties.jsonl") == [
        {
            "register": {
                "name": "iris",
                "path": "outputs/model.joblib",
                "tags": {"n": "1"},
                "properties": {},
                "description": "d",
                "framework": "ScikitLearn",
            }
        }
    ]
    with pytest.raises(FileNotFoundError, match=r"no file iris; it has: model\.joblib"):
        run.register_model("iris")
    with pytest.raises(FileNotFoundError):
        run.register_model("iris", "../../properties.jsonl")


def test_calls_without_counterpart_warn_once_and_do_not_stop_the_script(
    run: CurrentRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run.take_snapshot(".")
    run.take_snapshot(".")
    run.complete()
    run.flush()
    assert capsys.readouterr().err.count("take_snapshot") == 1


def test_what_needs_the_platform_says_where_it_works(run: CurrentRun) -> None:
    with pytest.raises(AttributeError, match="submit where this one was submitted"):
        run.submit_child("train.py")
    with pytest.raises(AttributeError, match="has no 'lgo'"):
        run.lgo("x", 1)


def test_outside_a_run_it_shows_what_it_would_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FITQ_RUN_FOLDER", raising=False)
    run = Run.get_context()
    run.log("Accuracy", 0.97)
    run.log_list("xs", [1, 2])
    run.tag("a", 1)
    run.complete()
    assert capsys.readouterr().out.startswith("Attempted to log scalar metric Accuracy:\n0.97\n")
    assert run.get_metrics() == {"Accuracy": 0.97, "xs": [1, 2]}
    assert run.id.startswith("OfflineRun_")
    with pytest.raises(TypeError, match="log_list"):
        run.log("xs", [1])
    with pytest.raises(RuntimeError, match="not inside"):
        Run.get_context(allow_offline=False)
