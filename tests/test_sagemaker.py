"""A SageMaker training script finds its hyperparameters, its folders and its description."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fitq.records import Json, RunRecord, RunStatus, now
from fitq.worker.sagemaker import all_arguments, sagemaker_environment

SCRIPT = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--penalty", type=float, default=0.1)
parser.add_argument("--kernel", default="rbf")
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
given = parser.parse_args()
print(json.dumps([given.penalty, given.kernel, given.model_dir, os.environ["SM_HP_PENALTY"]]))
"""


def run_of(arguments: list[str], parameters: dict[str, object]) -> RunRecord:
    return RunRecord(
        id="train-1", experiment="e", status=RunStatus.RUNNING, created_at=now(), pool="default",
        script="train.py", arguments=arguments, parameters=parameters,  # type: ignore[arg-type]  # JSON scalars
    )  # fmt: skip


def test_hyperparameters_arrive_as_arguments_and_as_variables() -> None:
    run = run_of(["--kernel", "linear"], {"penalty": 0.5})
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, *all_arguments(run)],
        env=sagemaker_environment(run, "/kept", {"train": "/in"}), capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert json.loads(told.stdout) == [0.5, "linear", "/kept", "0.5"]


@pytest.mark.parametrize(
    ("arguments", "parameters", "hyperparameters"),
    [
        (["--a", "1", "--b=x=y", "loose"], {}, {"a": "1", "b": "x=y"}),
        (["--flag", "--a", "1", "--last"], {}, {"a": "1"}),
        (["--a", "-1"], {"b": True, "c": None}, {"a": "-1", "b": True, "c": None}),
        ([], {}, {}),
    ],
)
def test_hyperparameters_are_told_as_they_were_given(
    arguments: list[str], parameters: dict[str, object], hyperparameters: dict[str, Json]
) -> None:
    variables = sagemaker_environment(run_of(arguments, parameters), "/kept", {"train": "/in"})
    assert json.loads(variables["SM_HPS"]) == hyperparameters
    described = json.loads(variables["SM_TRAINING_ENV"])
    assert described["channels"] == json.loads(variables["SM_CHANNELS"]) == ["train"]
    assert variables["SM_CHANNEL_TRAIN"] == "/in"
    assert described["hyperparameters"] == hyperparameters
    assert described["job_name"] == "train-1"


def test_a_null_parameter_is_no_argument() -> None:
    assert all_arguments(run_of(["x"], {"a": None, "b": 1.0})) == ["x", "--b", "1.0"]


def test_what_no_process_could_be_started_with_is_left_out() -> None:
    variables = sagemaker_environment(run_of(['"' * 100_000], {"a=b": "1"}), "/kept", {})
    assert "SM_USER_ARGS" not in variables
    assert "SM_HP_A=B" not in variables
    subprocess.run(["true"], env=variables, check=True)
