"""`azureml.core` on fitq: in a process of its own, as a user's script sees it, on old interpreters too."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fitq
from fitq.sdk.client import Client
from tests.sdk.test_config import ARTICLE_YAML

SHIMS = Path(fitq.__file__).parent / "worker/shims"
#: Interpreters of training scripts, where present.
OLD = ["python3.6", "python3.7", "python3.8", "python3.9"]

CLIENT_CODE = """
from azureml.core import Workspace, Environment, ScriptRunConfig, Experiment, Model, Run
from azureml.core.resource_configuration import ResourceConfiguration
from azureml.core.run import Run as SameRun
from azureml.core.model import Model as SameModel, InferenceConfig
from azureml.core.environment import Environment as SameEnvironment
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.runconfig import RunConfiguration, DockerConfiguration
from azureml.core.compute import ComputeTarget, AmlCompute
from azureml.core.compute_target import ComputeTargetException
from azureml.core.webservice import Webservice, AciWebservice, LocalWebservice, AksWebservice
from azureml.exceptions import ActivityFailedException, UserErrorException, WebserviceException
from azureml._common.exceptions import AzureMLException
from azureml.widgets import RunDetails
import azureml.core, fitq

assert SameRun is Run is fitq.Run and SameModel is Model is fitq.Model
assert Workspace is fitq.Workspace and SameEnvironment is Environment
assert issubclass(ActivityFailedException, AzureMLException)
assert azureml.core.VERSION.endswith("+fitq")
config = ScriptRunConfig(source_directory=".", script="train_iris.py", arguments=["--penalty", 1.0])
config.run_config.environment = Environment.get(workspace=None, name="AzureML-Tutorial")
assert AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1).auth_enabled
assert AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4).max_workers == 4
ResourceConfiguration(cpu=1, memory_in_gb=0.5)
assert InferenceConfig is fitq.InferenceConfig
assert InferenceConfig(runtime="python", entry_script="score.py").source_directory is None
"""

ARTICLE_CODE = """
from azureml.core import Workspace

ws = Workspace.from_config()

from azureml.core import Environment

myenv = Environment.from_conda_specification(name = "myenv", file_path = "sklearn-env.yml")
myenv.docker.enabled = True

from azureml.core import ScriptRunConfig

sklearnconfig = ScriptRunConfig(source_directory='.', script='train_iris.py')
sklearnconfig.run_config.environment = myenv

from azureml.core import Experiment

run = Experiment(ws,'train-sklearn').submit(config=sklearnconfig)
print(run.get_status(), run.get_details()["runDefinition"]["environment"]["name"])
run.cancel()
run.wait_for_completion(show_output=True, raise_on_error=False)
"""

COMPUTE_CODE = """
from azureml.core import Workspace
from azureml.core.compute import ComputeTarget, AmlCompute
from azureml.core.compute_target import ComputeTargetException

ws = Workspace.from_config()
try:
    cluster = ComputeTarget(workspace=ws, name="cpu-cluster")
except ComputeTargetException:
    print("none yet")
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
    cluster = ComputeTarget.create(ws, "cpu-cluster", config)
cluster.wait_for_completion(show_output=True)
print(ComputeTarget(ws, "cpu-cluster").name, cluster.get_status().max_workers)
"""

RUN_CODE = """
from azureml.core import Run
from azureml.core.run import Run as SameRun
import sys

assert Run is SameRun
run = Run.get_context()
assert isinstance(run, Run)
run.log("Kernel type", "linear")
run.log("Penalty", 1.0)
run.log_list("acc", [0.5, 0.75])
run.log_row("fold", n=1)
run.log_table("table", {"x": [1, 2]})
run.log_confusion_matrix("cm", {"data": {"matrix": [[1]]}})
run.tag("a", 1)
run.add_properties({"p": "q"})
run.upload_file("note.txt", "note.txt")
run.take_snapshot(".")
try:
    run.log("list", [1])
except TypeError as exc:
    print(exc)
try:
    from azureml.core import Dataset
except ImportError as exc:
    print(exc)
try:
    import azureml.train.hyperdrive
except ImportError as exc:
    print(exc)
run.complete()
print(run.get_metrics()["Penalty"], run.id, "numpy" in sys.modules)
"""


def python(code: str, cwd: Path, interpreter: str = sys.executable, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
    done = subprocess.run(
        [interpreter, *(["-W", "error"] if interpreter == sys.executable else []), "-c", code],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(SHIMS), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def interpreters() -> list[str]:
    """The old interpreters that really start; some machines have only their names on PATH."""
    found = []
    for name in OLD:
        # Version managers put names on PATH and keep the interpreters in a folder of their own.
        kept = sorted(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/python"))
        for candidate in [*map(str, kept), name]:
            if shutil.which(candidate) and _starts(candidate):
                found.append(candidate)
                break
    return found


def _starts(interpreter: str) -> bool:
    return subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode == 0


def test_client_code_finds_every_name_it_uses(tmp_path: Path) -> None:
    python(CLIENT_CODE, tmp_path)


def test_the_articles_own_lines_submit_to_the_real_api(tmp_path: Path, platform: Client) -> None:
    (tmp_path / "train_iris.py").write_text("print()")
    (tmp_path / "sklearn-env.yml").write_text(ARTICLE_YAML)
    said = python(ARTICLE_CODE, tmp_path, FITQ_URL=platform.url, FITQ_TOKEN="test-token")
    assert said.splitlines()[0] == "Queued myenv"
    [run] = platform.list_runs(experiment="train-sklearn").runs
    assert (run.script, str(run.status)) == ("train_iris.py", "Canceled")
    assert run.environment.spec is not None
    assert "Execution Summary" in said


def test_code_that_makes_its_cluster_makes_a_pool(tmp_path: Path, platform: Client) -> None:
    said = python(COMPUTE_CODE, tmp_path, FITQ_URL=platform.url, FITQ_TOKEN="test-token").splitlines()
    assert said[0] == "none yet"
    assert said[-2:] == ["Start a worker with: FITQ_POOL=cpu-cluster fitq worker", "cpu-cluster 4"]


@pytest.mark.parametrize("interpreter", [sys.executable, *interpreters()])
def test_a_script_logs_through_azures_names_on_any_python(tmp_path: Path, interpreter: str) -> None:
    """Old interpreters have neither fitq nor its requirements installed."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "note.txt").write_text("kept")
    said = python(
        RUN_CODE,
        code,
        interpreter,
        FITQ_RUN_FOLDER=str(tmp_path),
        FITQ_OUTPUTS=str(code / "outputs"),
        FITQ_RUN_ID="r-1",
    )
    assert "use log_list" in said
    assert "no 'azureml.core.Dataset'. Data sets are not there yet" in said
    assert "hyperdrive" in said
    assert said.splitlines()[-1] == "1.0 r-1 False"
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(m["name"], m["value"]) for m in metrics] == [
        *(("Kernel type", "linear"), ("Penalty", 1.0), ("acc", 0.5), ("acc", 0.75)),
        *(("fold", {"n": 1}), ("table", {"x": 1}), ("table", {"x": 2}), ("cm", "outputs/metrics/cm.json")),
    ]
    properties = [json.loads(line) for line in (tmp_path / "properties.jsonl").read_text().splitlines()]
    assert properties == [{"tag": {"a": "1"}}, {"property": {"p": "q"}}]
    assert (code / "outputs/note.txt").read_text() == "kept"


def test_outside_a_run_a_script_shows_what_it_would_log(tmp_path: Path) -> None:
    said = python("from azureml.core.run import Run; Run.get_context().log('Accuracy', 0.97)", tmp_path)
    assert said == "Attempted to log scalar metric Accuracy:\n0.97\n"


def test_a_run_that_only_logs_loads_no_client(tmp_path: Path) -> None:
    said = python(
        "import sys; from azureml.core import Run; Run.get_context()\n"
        "print(sorted({'httpx2', 'msgspec', 'yaml'} & set(sys.modules)))",
        tmp_path,
        FITQ_RUN_FOLDER=str(tmp_path),
    )
    assert said == "[]\n"


def test_importing_fitq_costs_little_and_promises_all_its_names(tmp_path: Path) -> None:
    said = python("import sys, fitq; print(sorted({'httpx2', 'msgspec'} & set(sys.modules)))", tmp_path)
    assert said == "[]\n"
    assert set(fitq.__all__) == set(dir(fitq))
    for name in fitq.__all__:
        assert getattr(fitq, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Worskpace'"):
        _ = fitq.Worskpace
    promised = re.findall(r"import (\w+) as \1$", Path(fitq.__file__).read_text(), re.MULTILINE)
    assert {*promised, "__version__"} == set(fitq.__all__)


def test_what_runs_inside_scripts_is_written_for_python_3_6() -> None:
    package = Path(fitq.__file__).parent
    inside = [*SHIMS.rglob("*.py"), *(package / "sdk/inside").glob("*.py")]
    for file in [*inside, package / "__init__.py", package / "sdk/__init__.py", package / "context.py"]:
        ast.parse(file.read_text(), str(file), feature_version=(3, 6))
