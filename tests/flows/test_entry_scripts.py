"""The promise: a script of one's own answers with the model, from the run's code or from this machine."""

from __future__ import annotations

from pathlib import Path

import httpx2
import joblib
import pytest

from fitq import Experiment, InferenceConfig, Model, ScriptRunConfig, Workspace
from fitq.errors import InvalidRequest, ModelUnusable, NotFound, ScoringFailed

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
#: A SageMaker script trains and serves; the class it defines stands in the pickle as `__main__.Nearest`.
TRAIN = """
import os
import joblib, numpy as np
from sklearn.datasets import load_iris

class Nearest:
    def __init__(self, centers):
        self.centers = centers

    def predict(self, rows):
        return np.array([np.abs(self.centers - row).sum(axis=1).argmin() for row in rows])

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

if __name__ == "__main__":
    rows, labels = load_iris(return_X_y=True)
    centers = np.array([rows[labels == k].mean(axis=0) for k in range(3)])
    joblib.dump(Nearest(centers), os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
"""
SCORE = """
import json, os
import joblib
from sklearn_helpers import NAMES
import train, __main__
__main__.Nearest = train.Nearest

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))

def run(raw):
    rows = json.loads(raw)["data"]
    return [NAMES[k] for k in model.predict(rows)]
"""

BOTH = """
import json, os
import joblib
from azureml.core.model import Model

def init():
    global weights, names
    root = os.environ["AZUREML_MODEL_DIR"]
    weights = joblib.load(os.path.join(root, "entries-weights", "1", "weights.joblib"))
    names = joblib.load(Model.get_model_path("entries-names"))

def run(raw):
    rows = json.loads(raw)["data"]
    return [names[sum(w * v for w, v in zip(weights, row)) > 1] for row in rows]
"""


def test_a_run_s_own_script_and_one_of_this_machine_answer_with_its_model(
    ws: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    run = Experiment(ws, "entries").submit(ScriptRunConfig(source_directory=tmp_path, script="train.py"))
    run.wait_for_completion()
    assert run.get_status() == "Completed"

    with pytest.raises(ModelUnusable, match=r"needs 'Nearest', which was defined in the.*--entry-script"):
        run.register_model("entries-alone", "outputs/model.joblib")
    with pytest.raises(InvalidRequest, match=r"Did you mean 'train\.py'"):
        run.register_model("entries-own", "outputs/model.joblib", entry_script="trian.py")
    own = run.register_model(
        "entries-own", "outputs/model.joblib", entry_script="train.py", sample_input=ROWS
    )
    assert own.record.entry is not None
    assert own.record.entry.kind == "sagemaker"
    assert own.score(ROWS) == [0, 2]

    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "sklearn_helpers.py").write_text("NAMES = ['setosa', 'versicolor', 'virginica']")
    config = InferenceConfig(entry_script="score.py", source_directory=tmp_path)
    service = Model.deploy(ws, "entries-service", [own], config)
    service.wait_for_deployment()
    assert service.run({"data": ROWS}) == ["setosa", "virginica"]
    with pytest.raises(ScoringFailed, match="An unexpected error occurred in scoring script"):
        service.run({"rows": ROWS})
    deployed = Model(ws, "entries-service")
    assert (deployed.properties["model"], deployed.run_id) == ("entries-own:1", run.id)
    with httpx2.Client(headers={"authorization": f"Bearer {service.get_keys()[0]}"}) as consumer:
        swagger = consumer.get(service.swagger_uri).json()
    assert swagger["info"]["description"] == "Scores rows with entries-service:1 (score.py)."

    (tmp_path / "sklearn_helpers.py").write_text("NAMES = ['a', 'b', 'c']")
    service.update(models=[own], inference_config=config)
    service.wait_for_deployment()
    assert service.models == {"entries-service:2": 100}
    service.delete()


def test_a_script_answers_with_several_models(ws: Workspace, tmp_path: Path) -> None:
    kept = {}
    for name, value in {"weights": [1.0, 0.5], "names": ["low", "high"]}.items():
        joblib.dump(value, tmp_path / f"{name}.joblib")
        kept[name] = Model.register(
            ws, tmp_path / f"{name}.joblib", f"entries-{name}", model_framework="Custom"
        )
    both = [kept["weights"], kept["names"]]
    (tmp_path / "both.py").write_text(BOTH)
    config = InferenceConfig(tmp_path / "both.py")
    with pytest.raises(InvalidRequest, match="must provide an InferenceConfig"):
        Model.deploy(ws, "entries-both", both)
    service = Model.deploy(ws, "entries-both", both, config)
    service.wait_for_deployment()
    assert service.run({"data": [[0.2, 0.2], [0.8, 0.8]]}) == ["low", "high"]
    entry = Model(ws, "entries-both").record.entry
    assert entry is not None
    assert [m.id for m in entry.models] == ["entries-weights:1", "entries-names:1"]
    kept["names"].delete()
    with pytest.raises(NotFound, match="entries-names"):
        service.update(models=both, inference_config=config)
    service.delete()
