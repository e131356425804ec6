"""Environments through the public SDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitq import Environment, Experiment, ScriptRunConfig, Workspace
from fitq.errors import NotFound
from fitq.sdk.conda import CondaDependencies
from tests.environments.conftest import TINY


def test_an_environment_is_registered_built_and_used_by_name(ws: Workspace, tmp_path: Path) -> None:
    env = Environment("flow-env")
    env.python.conda_dependencies = CondaDependencies.create(pip_packages=[TINY, "azureml-defaults"])
    registered = env.register(ws)
    assert (registered.name, registered.version) == ("flow-env", "1")
    build = registered.build(ws)
    build.wait_for_completion()
    assert build.record.versions.packages == {"iniconfig": "1.1.1"}

    (tmp_path / "train.py").write_text("import iniconfig")
    config = ScriptRunConfig(source_directory=str(tmp_path), script="train.py")
    config.run_config.environment = Environment.get(ws, "flow-env")
    run = Experiment(ws, "environments-flow").submit(config)
    run.wait_for_completion()
    assert run.record.environment.name == "flow-env:1"
    assert run.record.environment.hash == build.record.environment.hash

    command = ScriptRunConfig(source_directory=str(tmp_path), command="python train.py && echo $VIRTUAL_ENV")
    command.run_config.environment = Environment.get(ws, "flow-env", version=1)
    run = Experiment(ws, "environments-flow").submit(command)
    run.wait_for_completion()
    assert build.record.environment.hash in ws.client.read_whole_log(run.id).decode()


def test_environments_are_listed_by_name(ws: Workspace) -> None:
    assert "AzureML-Tutorial" in Environment.list(ws)
    assert ws.environments["fitq-sklearn-1.2"].to_request() == "fitq-sklearn-1.2"
    with pytest.raises(NotFound, match="There is no environment 'nobody-has-this'"):
        Environment.get(ws, "nobody-has-this")
