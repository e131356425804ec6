"""What is submitted: scripts, calls of functions, environments, and what is refused with the reason."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitq import Environment, FunctionCall, RunConfiguration, RunContext, ScriptRunConfig, function
from fitq.errors import InvalidRequest
from fitq.records import RunRequest
from fitq.sdk.conda import CondaDependencies
from fitq.sdk.git import git_facts, without_credentials

ARTICLE_YAML = """\
name: sklearn-training-env
dependencies:
  - python=3.6.2
  - scikit-learn
  - numpy
  - pip:
    - azureml-defaults
"""


def request(config: ScriptRunConfig) -> RunRequest:
    return config.to_request("e", "0" * 64)


def test_arguments_arrive_as_the_text_python_shows() -> None:
    given: list[Any] = ["--kernel", "linear", "--penalty", 1.0, np.float64(0.5), np.int32(3), Path("a/b")]
    config = ScriptRunConfig(".", "train.py", given, resume_from="outputs/last")
    assert request(config).arguments == [
        *["--kernel", "linear", "--penalty", "1.0", "0.5", "3", "a/b", "--resume-from", "outputs/last"]
    ]


@pytest.mark.parametrize("wrong", [None, [1], {"a": 1}, np.array([1, 2])])
def test_an_argument_that_is_no_text_or_number_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="Argument 1"):
        request(ScriptRunConfig(".", "train.py", ["--x", wrong]))


@pytest.mark.parametrize(
    ("target", "pool"),
    [(None, None), ("local", None), ("gpu", "gpu"), (SimpleNamespace(name="cpu-cluster"), "cpu-cluster")],
)
def test_a_target_is_a_pool(target: Any, pool: str | None) -> None:
    config = ScriptRunConfig(".", "train.py")
    config.run_config.target = target
    assert request(config).pool == pool


def test_a_target_that_cannot_be_a_pool_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="pool name"):
        request(ScriptRunConfig(".", "t.py", compute_target="My Cluster"))
    with pytest.raises(InvalidRequest, match="not a compute target"):
        request(ScriptRunConfig(".", "t.py", compute_target=7))


def test_script_and_command_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="exclude"):
        ScriptRunConfig(".", "train.py", command="python train.py")
    assert request(ScriptRunConfig(".", command=["python", "t.py", "a b"])).command == "python t.py 'a b'"
    assert request(ScriptRunConfig(".", command=["python t.py && ls"])).command == "python t.py && ls"


def test_what_is_not_there_yet_is_refused_and_what_is_harmless_is_taken() -> None:
    with pytest.raises(InvalidRequest, match="not part of this version"):
        ScriptRunConfig(".", "t.py", distributed_job_config=object())
    how = RunConfiguration()
    how.node_count = 2
    with pytest.raises(InvalidRequest, match="several nodes"):
        request(ScriptRunConfig(".", "t.py", run_config=how))
    how = RunConfiguration()
    how.docker.use_docker = True
    assert request(ScriptRunConfig(".", "t.py", run_config=how, max_run_duration_seconds=60)) == RunRequest(
        experiment="e", snapshot="0" * 64, script="t.py", timeout_seconds=60
    )


def test_how_often_it_is_tried_travels() -> None:
    config = ScriptRunConfig(".", "train.py")
    config.run_config.max_attempts, config.run_config.retry_failures = 5, True
    call = FunctionCall(function="iris", max_attempts=5, retry_failures=True)
    for sent in (request(config), call.to_request("e")):
        assert (sent.max_attempts, sent.retry_failures) == (5, True)


def test_the_articles_environment_travels_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "sklearn-env.yml"
    file.write_text(ARTICLE_YAML)
    env = Environment.from_conda_specification(name="myenv", file_path=str(file))
    env.docker.enabled = True
    env.environment_variables = {"OMP_NUM_THREADS": "1"}
    config = ScriptRunConfig(".", "train.py")
    config.run_config.environment = env
    config.run_config.environment_variables = {"MODE": "x"}
    sent = request(config)
    assert sent.environment_variables == {"OMP_NUM_THREADS": "1", "MODE": "x"}
    assert sent.environment == {
        "name": "myenv",
        "conda": {
            "name": "sklearn-training-env",
            "dependencies": ["python=3.6.2", "scikit-learn", "numpy", {"pip": ["azureml-defaults"]}],
        },
    }


def test_curated_environments_go_by_name() -> None:
    assert Environment.get(None, "AzureML-Tutorial").to_request() == "AzureML-Tutorial"  # type: ignore[arg-type]


def test_requirements_travel_as_a_list_and_options_for_pip_do_not(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# ours\nscikit-learn==1.5.2  # pinned\n\nnumpy\n")
    env = Environment.from_pip_requirements("reqs", file)
    assert env.to_request() == {"name": "reqs", "pip": ["scikit-learn==1.5.2", "numpy"]}
    file.write_text("--extra-index-url https://user:token@host/\nnumpy\n")
    with pytest.raises(InvalidRequest, match="--extra-index-url") as caught:
        Environment.from_pip_requirements("reqs", file)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "- a", "dependencies: numpy", "dependencies: [{pip: numpy}]", "dependencies: [1]", "a: [", "\0"],
)
def test_what_is_no_conda_file_is_refused_with_an_example(tmp_path: Path, text: str) -> None:
    file = tmp_path / "env.yml"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match="dependencies:"):
        Environment.from_conda_specification("x", file)


def test_a_specification_without_python_warns(tmp_path: Path) -> None:
    file = tmp_path / "env.yml"
    file.write_text("dependencies: [numpy]")
    with pytest.warns(UserWarning, match="no python version"):
        Environment.from_conda_specification("x", file)


HEADER = "# /// script\n# dependencies = []\n# ///"


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("env.yml", "dependencies: [numpy]", {"conda": {"dependencies": ["numpy"]}}),
        ("needs.txt", "numpy\n-r more.txt\n", {"pip": ["numpy", "scipy", "pandas"]}),
        ("lock.txt", "numpy==1.26 \\\n  --hash=sha256:a \\\n  --hash=sha256:b\n", {"pip": ["numpy==1.26"]}),
        ("pyproject.toml", "[project]", {"pyproject": "[project]"}),
        ("train.py", f"{HEADER}\nx = 1", {"script": HEADER}),
    ],
)  # fmt: skip
def test_a_file_that_lists_packages_is_an_environment(
    tmp_path: Path, name: str, text: str, form: dict[str, object]
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "more.txt").write_text("scipy\n-r needs.txt\npandas  # and that is all\n")
    env = Environment.from_file(tmp_path / name)
    assert env.to_request() == {"name": (tmp_path / name).stem, **form}
    env.strict, env.exclude_newer = True, "2022-01-10"
    assert env.to_request() == {"name": env.name, **form, "strict": True, "exclude_newer": "2022-01-10"}


def test_a_file_that_lists_nothing_is_refused_with_what_does(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("numpy")
    with pytest.raises(InvalidRequest, match=r"requirements \(.txt\)"):
        Environment.from_file(tmp_path / "notes.md")
    (tmp_path / "plain.py").write_text("import numpy")
    with pytest.raises(InvalidRequest, match="no header"):
        Environment.from_file(tmp_path / "plain.py")


def test_dependencies_are_put_together_in_code() -> None:
    found = CondaDependencies.create(pip_packages=["joblib"], conda_packages=["numpy"], python_version="3.8")
    found.add_pip_package("azureml-defaults")
    found.add_conda_package("scipy")
    assert found.as_dict() == {
        "dependencies": ["python=3.8", "numpy", "scipy", {"pip": ["joblib", "azureml-defaults"]}]
    }
    assert (found.python_version, found.conda_packages) == ("3.8", ["numpy", "scipy"])


@function(pool="cpu")
def training(run: RunContext, penalty: float = 1.0) -> None:
    """For the test below."""


def test_a_function_is_called_by_name_or_itself() -> None:
    call = FunctionCall(function=training, parameters={"penalty": np.float64(2.0)}, tags={"n": 1})
    sent = call.to_request("e")
    assert (sent.function, sent.parameters, sent.tags) == ("training", {"penalty": 2.0}, {"n": "1"})
    assert FunctionCall(function="training").to_request("e").pool is None
    with pytest.raises(InvalidRequest, match=r"@fitq.function"):
        FunctionCall(function=print).to_request("e")
    with pytest.raises(InvalidRequest, match="'rows'"):
        FunctionCall(function="f", parameters={"rows": [1]}).to_request("e")


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_a_folder_in_git_is_traced_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert git_facts(tmp_path / "plain") == {}
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    git(work, "init", "-b", "trunk")
    assert git_facts(work) == {}
    (work / "src/train.py").write_text("print()")
    git(work, "add", ".")
    git(work, "commit", "-m", "first")
    git(work, "remote", "add", "origin", "https://user:secret@host.example:8443/repo.git?token=x")
    facts = git_facts(work / "src")
    assert len(facts.pop("commit")) == 40
    assert facts == {
        "branch": "trunk",
        "dirty": "false",
        "remote": "https://host.example:8443/repo.git",
        "path": "src",
    }
    (work / "src/train.py").write_text("print(1)")
    assert git_facts(work / "src")["dirty"] == "true"


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("git@host:team/repo.git", "git@host:team/repo.git"),
        ("ssh://git:pw@host/repo", "ssh://git@host/repo"),
        ("https://token@host/repo", "https://host/repo"),
        ("/srv/repo", "/srv/repo"),
    ],
)
def test_credentials_are_taken_out_of_remotes(remote: str, shown: str) -> None:
    assert without_credentials(remote) == shown
