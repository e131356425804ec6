"""Registering, finding and deploying models, against a scripted platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from fitq import Endpoint, InferenceConfig, Model, ResourceConfiguration, Run
from fitq.errors import Conflict, FitqError, InvalidRequest, NotFound
from tests.sdk.conftest import Routes
from tests.sdk.test_run import RUN


def version(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": "sklearn-iris",
        "version": number,
        "created_at": f"2026-01-0{number}T00:00:00Z",
        "path": "outputs/model.joblib",
        "sha256": "0" * 64,
        "size_bytes": 5,
        "object_key": "k",
        "run": f"run-{number}",
        "tags": {"stage": "new" if number == 2 else "old"},
        "resources": {"cpu": 1, "memory_in_gb": 0.5},
        "scoring_uri": f"http://platform:8701/models/sklearn-iris/versions/{number}/score",
        **changes,
    }


ENDPOINT: dict[str, Any] = {
    "name": "flowers",
    "model": "sklearn-iris",
    "traffic": {"2": 100},
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
    "scoring_uri": "http://platform:8701/api/v1/service/flowers/score",
    "swagger_uri": "http://platform:8701/api/v1/service/flowers/swagger.json",
    "state": "Transitioning",
}
SUMMARY = {"name": "sklearn-iris", "latest_version": 2, "versions": [1, 2]}


@pytest.fixture
def routes() -> Routes:
    base = "/v1/models/sklearn-iris"
    return Routes(
        {
            "GET /v1/runs/train-1": RUN,
            "POST /v1/models": httpx2.Response(201, json=version(2)),
            "GET /v1/models": {"models": [SUMMARY]},
            f"GET {base}": {**SUMMARY, "records": [version(2), version(1)]},
            f"GET {base}/versions/1": version(1),
            f"GET {base}/versions/2": version(2),
            f"GET {base}/versions/2/file": httpx2.Response(200, content=b"bytes"),
            "PUT /v1/endpoints/flowers": ENDPOINT,
            "GET /v1/endpoints/flowers/keys": {"primary": "p", "secondary": "s"},
            "POST /v1/endpoints/flowers/keys/primary/regenerate": {"primary": "q", "secondary": "s"},
            "POST /api/v1/service/flowers/score": [[0.9, 0.1]],
        }
    )


def test_registering_takes_all_that_the_article_gives(routes: Routes) -> None:
    run = Run.get(routes.workspace(), "train-1")
    model = run.register_model(
        model_name="sklearn-iris",
        model_path="outputs/model.joblib",
        model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version="0.19.1",
        resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5),
        tags={"n": 1},
        sample_input=np.array([[5.1, 3.5, 1.4, 0.2]]),
    )
    assert (model.id, model.version) == ("sklearn-iris:2", 2)
    assert model.resource_configuration == ResourceConfiguration(cpu=1, memory_in_gb=0.5)
    assert json.loads(routes.requests[-1].content) == {
        "name": "sklearn-iris",
        "run": "train-1",
        "path": "outputs/model.joblib",
        "framework_version": "0.19.1",
        "resources": {"cpu": 1, "memory_in_gb": 0.5},
        "tags": {"n": "1"},
        "sample_input": [[5.1, 3.5, 1.4, 0.2]],
    }


def test_the_path_of_a_model_is_its_name_if_not_given(routes: Routes) -> None:
    Run.get(routes.workspace(), "train-1").register_model("sklearn-iris")
    assert json.loads(routes.requests[-1].content)["path"] == "sklearn-iris"


@pytest.mark.parametrize("given", [{"cpu": 0}, {"memory_in_gb": -1}, {"gpu": True}, {"cpu": "1"}])
def test_resources_are_above_zero(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        ResourceConfiguration(**given)


def test_models_are_found_by_name_id_version_and_tag(routes: Routes) -> None:
    ws = routes.workspace()
    assert Model(ws, "sklearn-iris").version == 2
    assert Model(ws, id="sklearn-iris:1").version == 1
    assert Model(ws, "sklearn-iris", version=1).version == 1
    assert Model(ws, "sklearn-iris", tags=[["stage", "old"]]).version == 1
    assert Model(ws, "sklearn-iris", run_id="run-1").version == 1
    with pytest.raises(NotFound):
        Model(ws, "sklearn-iris", tags=["none"])
    with pytest.raises(NotFound):
        Model(ws, "other")
    assert [m.version for m in Model.list(ws)] == [2, 1]
    assert [m.version for m in Model.list(ws, latest=True)] == [2]
    assert [m.version for m in Model.list(ws, tags=["stage"], latest=True)] == [2]
    assert ws.models["sklearn-iris"].version == 2


def test_a_model_is_downloaded_once(routes: Routes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(routes.workspace(), "sklearn-iris")
    assert model.download(tmp_path) == str(tmp_path / "model.joblib")
    with pytest.raises(Conflict, match="exist_ok"):
        model.download(tmp_path)
    model.download(tmp_path, exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="azureml-models"):
        Model.get_model_path("sklearn-iris")
    path = Model.get_model_path("sklearn-iris", _workspace=routes.workspace())
    assert path == "azureml-models/sklearn-iris/2/model.joblib"
    assert Model.get_model_path("sklearn-iris") == path


def test_uploading_needs_one_file(routes: Routes, tmp_path: Path) -> None:
    ws = routes.workspace()
    with pytest.raises(NotFound, match="no file"):
        Model.register(ws, tmp_path / "none.joblib", "m")
    (tmp_path / "a.joblib").write_bytes(b"a")
    assert Model.register(ws, tmp_path, "sklearn-iris").version == 2
    (tmp_path / "b.joblib").write_bytes(b"b")
    with pytest.raises(InvalidRequest, match="several files"):
        Model.register(ws, tmp_path, "m")
    with pytest.raises(InvalidRequest, match="model name"):
        Model.register(ws, tmp_path / "a.joblib", "no/slash")


def test_deploying_needs_exactly_one_model(routes: Routes) -> None:
    ws = routes.workspace()
    model = Model(ws, "sklearn-iris")
    for models in ([], [model, model]):
        with pytest.raises(
            InvalidRequest,
            match=r"You must provide an InferenceConfig when deploying zero or multiple models.",
        ):
            Model.deploy(ws, "flowers", models)
    with pytest.raises(InvalidRequest, match="inference_config is a object"):
        Model.deploy(ws, "flowers", [model], inference_config=object())  # type: ignore[arg-type]  # meant
    config = InferenceConfig(entry_script="score.py")
    with pytest.raises(InvalidRequest, match="entry script without a model is not part"):
        Model.deploy(ws, "flowers", [], config)
    with pytest.raises(InvalidRequest, match=r"There is no entry script score\.py"):
        Model.deploy(ws, "flowers", [model], config)
    with pytest.raises(InvalidRequest, match="endpoint name"):
        Model.deploy(ws, "Flowers_1", [model])
    assert not [r for r in routes.requests if r.method == "PUT"]


def test_a_service_is_waited_for_scored_and_taken_away(
    routes: Routes, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = routes.workspace()
    service = Model.deploy(ws, "flowers", [Model(ws, "sklearn-iris")])
    put = next(r for r in routes.requests if r.method == "PUT")
    assert json.loads(put.content) == {"model": "sklearn-iris", "traffic": {"2": 100}}
    states = iter(["Transitioning", "Transitioning"])
    routes.answers["GET /v1/endpoints/flowers"] = lambda _: {**ENDPOINT, "state": next(states, "Healthy")}
    service.wait_for_deployment(show_output=True)
    assert "Succeeded" in capsys.readouterr().out
    assert service.state == "Healthy"
    assert service.scoring_uri.endswith("/api/v1/service/flowers/score")
    assert service.run('{"data": [[5.1, 3.5, 1.4, 0.2]]}') == [[0.9, 0.1]]
    assert service.get_keys() == ("p", "s")
    service.regen_key("Primary")
    with pytest.raises(InvalidRequest, match="Primary or Secondary"):
        service.regen_key("third")
    with pytest.raises(Conflict, match="overwrite"):
        Model.deploy(ws, "flowers", ["sklearn-iris"])
    Model.deploy(ws, "flowers", ["sklearn-iris:1"], overwrite=True)
    assert json.loads(routes.requests[-1].content)["traffic"] == {"1": 100}
    routes.answers["DELETE /v1/endpoints/flowers"] = httpx2.Response(204)
    service.delete()


def test_an_unhealthy_service_is_an_error(routes: Routes) -> None:
    routes.answers["GET /v1/endpoints/flowers"] = {**ENDPOINT, "state": "Unhealthy"}
    with pytest.raises(FitqError, match="Unhealthy"):
        Endpoint(routes.workspace(), "flowers").wait_for_deployment()
