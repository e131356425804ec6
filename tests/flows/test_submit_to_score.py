"""The promise: from a script or a function to a scored row, through the public SDK only."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from fitq import Experiment, FunctionCall, Model, Run, ScriptRunConfig, Workspace
from fitq.errors import InvalidParameters, NotFound
from tests.conftest import eventually

ROW = [[5.1, 3.5, 1.4, 0.2]]
SCRIPT = """
import argparse, os
import joblib
from azureml.core.run import Run
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

run = Run.get_context()
parser = argparse.ArgumentParser()
parser.add_argument("--penalty", type=float, default=1.0)
args = parser.parse_args()
x, y = datasets.load_iris(return_X_y=True)
model = LogisticRegression(C=args.penalty, max_iter=1000).fit(x, y)
for step in range(3):
    run.log("Loss", 1 / (step + 1))
run.log("Penalty", args.penalty)
run.log("Accuracy", model.score(x, y))
print("trained on", x.shape)
os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
"""


def post(ws: Workspace, url: str, body: object, token: str | None = None) -> httpx2.Response:
    key = token if token is not None else ws.client.connection.token
    return httpx2.post(url, json=body, headers={"authorization": f"Bearer {key}"} if key else {})


def test_a_script_becomes_a_scored_model(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    config = ScriptRunConfig(source_directory=str(tmp_path), script="train.py", arguments=["--penalty", 0.5])
    config.run_config.target = "default"

    run = Experiment(ws, "flows").submit(config)
    run.wait_for_completion(show_output=True)

    shown = capsys.readouterr().out
    assert f"RunId: {run.id}" in shown
    assert "trained on (150, 4)" in shown
    assert run.get_status() == "Completed"
    metrics = run.get_metrics()
    assert metrics["Penalty"] == 0.5
    assert metrics["Loss"] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert metrics["Accuracy"] > 0.9
    assert set(run.get_file_names()) >= {"outputs/model.joblib", "user_logs/std_log.txt"}

    model = run.register_model(model_name="flows-iris", model_path="outputs/model.joblib")
    assert (model.name, model.version, model.run_id) == ("flows-iris", 1, run.id)

    # Served from the moment register returned, strictly, without a deploy step.
    url = f"{ws.client.connection.scoring_url}/models/flows-iris/score"
    scored = post(ws, url, {"data": ROW})
    assert scored.status_code == 200, scored.text
    assert scored.headers["x-fitq-model"] == "flows-iris:1"
    (probabilities,) = scored.json()
    assert sum(probabilities) == pytest.approx(1.0)
    assert post(ws, url, {"data": ROW, "method": "predict"}).json() == [0]
    refused = post(ws, url, {"data": [[5.1, "3.5", 1.4, 0.2]]})
    assert refused.status_code == 400
    assert {"message", "code", "hint", "request_id", "expected", "got", "at", "curl"} <= refused.json().keys()
    assert post(ws, url, {"data": ROW}, token="wrong").status_code == 401


def test_a_function_becomes_a_scored_model(ws: Workspace) -> None:
    run = Experiment(ws, "flows").call("iris", kernel="linear", penalty=2)
    run.wait_for_completion()
    assert run.get_metrics()["Kernel type"] == "linear"
    assert run.get_metrics("Accuracy")["Accuracy"] > 0.9
    model = run.register_model("flows-svc", model_path="outputs/model.joblib")
    # Fitted on a DataFrame: rows may be given by name, and a support vector machine has only predict.
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    by_name = dict(zip(names, ROW[0], strict=True))
    assert model.score({"data": [by_name]}) == model.score({"data": ROW}) == [0]


def test_a_new_version_is_served_by_name_and_the_old_one_by_number(ws: Workspace) -> None:
    versions = []
    for trees in (10, 20):
        run = Experiment(ws, "flows").call("digits", trees=trees)
        run.wait_for_completion()
        versions.append(run.register_model("flows-digits", model_path="outputs/model.joblib"))
    assert [v.version for v in versions] == [1, 2]
    base = f"{ws.client.connection.scoring_url}/models/flows-digits"
    row = {"data": [[0.0] * 64]}
    assert post(ws, f"{base}/versions/1/score", row).headers["x-fitq-model"] == "flows-digits:1"
    eventually(lambda: post(ws, f"{base}/score", row).headers["x-fitq-model"] == "flows-digits:2", seconds=5)
    missing = post(ws, f"{base}/versions/9/score", row)
    assert missing.status_code == 404
    assert missing.json()["versions"] == [1, 2]


def test_an_endpoint_has_a_stable_address_and_keys(ws: Workspace) -> None:
    run = Experiment(ws, "flows").call("diabetes", steps=3)
    run.wait_for_completion()
    model = run.register_model("flows-diabetes", model_path="outputs/model.joblib")

    service = Model.deploy(ws, "flows-service", [model], overwrite=True)
    service.wait_for_deployment(show_output=False)
    assert service.state == "Healthy"
    row = {"data": [[0.01] * 10]}
    answer = service.run(json.dumps(row))
    assert len(answer) == 1
    primary, secondary = service.get_keys()
    for key in (primary, secondary):
        assert post(ws, service.scoring_uri, row, token=key).json() == answer
    assert post(ws, service.scoring_uri, row, token="").status_code == 401
    service.regen_key("Primary")
    assert post(ws, service.scoring_uri, row, token=primary).status_code == 401
    assert post(ws, service.scoring_uri, row, token=secondary).status_code == 200

    swagger = httpx2.get(service.swagger_uri, headers={"authorization": f"Bearer {secondary}"}).json()
    example = swagger["definitions"]["ServiceInput"]["example"]
    assert post(ws, service.scoring_uri, example, token=secondary).status_code == 200
    service.delete()
    assert post(ws, service.scoring_uri, row, token=secondary).status_code in (401, 404)


def test_a_file_that_is_no_runs_artifact_is_registered(ws: Workspace, tmp_path: Path) -> None:
    import joblib
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_iris

    joblib.dump(KMeans(3, n_init=1, random_state=0).fit(load_iris().data), tmp_path / "clusters.joblib")
    model = Model.register(ws, model_path=str(tmp_path / "clusters.joblib"), model_name="flows-clusters")
    assert model.run_id is None
    (cluster,) = model.score({"data": ROW})
    assert cluster in (0, 1, 2)
    target = model.download(target_dir=str(tmp_path / "down"))
    assert Path(target).read_bytes() == (tmp_path / "clusters.joblib").read_bytes()


def test_a_wrong_path_answers_with_the_runs_files(ws: Workspace) -> None:
    run = Experiment(ws, "flows").call("whoami")
    run.wait_for_completion()
    with pytest.raises(NotFound) as caught:
        run.register_model("nothing", model_path="outputs/text.csv")
    assert "outputs/text.txt" in caught.value.data["files"]


def test_what_is_no_model_is_refused_with_the_reason(ws: Workspace) -> None:
    from fitq.errors import ModelUnusable

    run = Experiment(ws, "flows").call("whoami")
    run.wait_for_completion()
    with pytest.raises(ModelUnusable):
        run.register_model("nothing", model_path="outputs/text.txt")


def test_wrong_calls_are_refused_before_anything_is_queued(ws: Workspace) -> None:
    experiment = Experiment(ws, "flows-refused")
    with pytest.raises(NotFound, match="Did you mean 'iris'"):
        experiment.call("irsi")
    with pytest.raises(InvalidParameters, match="penlty"):
        experiment.call("iris", penlty=1)
    with pytest.raises(Exception, match="package_that_is_not_there"):
        experiment.call("broken")
    assert list(experiment.get_runs()) == []


def test_two_pools_have_their_own_functions_and_workers(ws: Workspace) -> None:
    pools = ws.compute_targets
    assert (pools["default"].workers, pools["small"].workers) == (1, 2)
    runs = [
        Experiment(ws, "flows-pools").submit(FunctionCall(function="whoami", parameters={"text": str(n)}))
        for n in range(6)
    ]
    for run in runs:
        run.wait_for_completion()
    workers = {run.refresh().worker for run in runs}
    assert len(workers) == 2
    with pytest.raises(NotFound, match="It runs in pool 'small'"):
        Experiment(ws, "flows-pools").submit(FunctionCall(function="whoami", pool="default"))


def test_runs_are_found_again(ws: Workspace) -> None:
    run = Experiment(ws, "flows-found").call("whoami")
    run.wait_for_completion()
    assert Run.get(ws, run.id).get_status() == "Completed"
    assert [r.id for r in Experiment(ws, "flows-found").get_runs()] == [run.id]
    assert "flows-found" in ws.experiments
