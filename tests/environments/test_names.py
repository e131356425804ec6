"""Environments by name: curated, registered version by version, built ahead, looked up over HTTP."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from fitq import environment_names
from fitq.backend import Backend
from fitq.environments.curated import CURATED, find_curated
from fitq.errors import InvalidRequest, NotFound
from fitq.records import EnvironmentRequest
from tests.api.conftest import api as api
from tests.api.conftest import refused
from tests.environments.conftest import TINY


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("AzureML-Tutorial", "AzureML-Tutorial"),
        ("azureml-tutorial", "AzureML-Tutorial"),
        ("AzureML-sklearn-0.24-ubuntu18.04-py37-cpu", "AzureML-sklearn-0.24"),
        ("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "AzureML-sklearn-1.0"),
        ("azureml-sklearn-1.5", "azureml-sklearn-1.5"),
        ("fitq-sklearn-1.2", "fitq-sklearn-1.2"),
        ("AzureML-sklearn-1.01", None),
        ("sklearn", None),
    ],
)
def test_curated_names_mean_what_azure_means_by_them(asked: str, meant: str | None) -> None:
    found = find_curated(asked)
    assert (found and found.name) == meant


@pytest.mark.parametrize("curated", CURATED, ids=lambda c: c.name)
def test_curated_environments_are_pinned(curated: object) -> None:
    spec = find_curated(curated.name).spec  # type: ignore[union-attr, attr-defined]
    assert all("==" in requirement for requirement in spec.requirements)
    assert spec.strict
    assert spec.python
    assert spec.exclude_newer


def test_a_name_gets_a_version_for_each_specification(memory_backend: Backend) -> None:
    def register(*pip: str) -> str:
        return environment_names.register(memory_backend, EnvironmentRequest(name="mine", pip=list(pip))).id

    assert [register("numpy"), register("numpy"), register("scipy"), register("numpy")] == [
        "mine:1", "mine:1", "mine:2", "mine:3",
    ]  # fmt: skip
    assert environment_names.find(memory_backend, "mine").requirements == ["numpy"]
    assert environment_names.find(memory_backend, "mine:2").requirements == ["scipy"]
    with pytest.raises(NotFound, match=r"no version 9\. Versions: 1, 2, 3"):
        environment_names.find(memory_backend, "mine", 9)
    with pytest.raises(NotFound, match="Did you mean 'mine'"):
        environment_names.find(memory_backend, "mina")


@pytest.mark.parametrize("name", ["AzureML-Tutorial", "azureml-mine", "fitq-sklearn-1.2", "worker", "a/b"])
def test_a_name_that_means_something_already_cannot_be_taken(memory_backend: Backend, name: str) -> None:
    with pytest.raises(InvalidRequest):
        environment_names.register(memory_backend, EnvironmentRequest(name=name, pip=["numpy"]))


def test_a_run_keeps_the_version_that_its_name_meant(memory_backend: Backend) -> None:
    environment_names.register(memory_backend, EnvironmentRequest(name="mine", pip=["numpy"]))
    record = environment_names.asked_for(memory_backend, "mine")
    assert (record.name, record.spec) == ("mine:1", {"pip": ["numpy"]})


def test_an_environment_over_http(api: TestClient) -> None:
    made = api.post("/v1/environments", json={"name": "mine", "pip": [TINY], "build": False})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/environments/mine"
    listed = {e["name"]: e for e in api.get("/v1/environments").json()["environments"]}
    assert listed["mine"]["requirements"] == [TINY]
    assert listed["AzureML-Tutorial"]["is_curated"]
    assert api.get("/v1/environments/mine?version=1").json()["build"] is None
    refused(api.get("/v1/environments/mine/log"), 404, "not_found")
    refused(api.get("/v1/environments/" + "0" * 64), 404, "not_found")
    wrong = refused(api.post("/v1/environments", json={"name": "x", "pip": ["a=1"]}), 400, "invalid_request")
    assert wrong["at"] == "$.pip[0]"


def test_a_build_is_a_run(api: TestClient) -> None:
    asked = api.post("/v1/environments", json={"name": "mine", "pip": [TINY]})
    assert asked.status_code == 202
    build = asked.json()["build"]
    assert build["status"] == "Queued"
    run = api.get(f"/v1/runs/{build['run']}").json()
    assert (run["experiment"], run["environment"]["name"]) == ("environments", "mine:1")
    listed = {e["name"]: e["build"] for e in api.get("/v1/environments").json()["environments"]}
    assert listed["mine"]["run"] == build["run"]
    assert listed["AzureML-Tutorial"] is None
    assert api.get("/v1/environments/mine/log").status_code == 200


def test_a_run_with_an_environment_that_nobody_knows_is_refused(api: TestClient) -> None:
    body = refused(
        api.post(
            "/v1/runs", json={"snapshot": "0" * 64, "script": "a.py", "environment": "AzureML-Tutorail"}
        ),
        404,
        "not_found",
    )
    del body
    function = {"function": "iris", "environment": "AzureML-Tutorial"}
    said = refused(api.post("/v1/runs", json=function), 400, "invalid_request")
    assert said["at"] == "environment"
    assert "worker's own packages" in said["message"]
