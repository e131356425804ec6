"""The control plane knows what the scoring program knows of its models."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import joblib
import msgspec
import pytest
import uvicorn
from sklearn.linear_model import LogisticRegression
from starlette.testclient import TestClient

from fitq.api.app import create_app as create_api
from fitq.backend import Backend
from fitq.credentials import login_code
from fitq.dashboard.pages import routes
from fitq.queue import NullQueue
from fitq.records import RegisterRequest, to_json
from fitq.registry import register
from fitq.scoring.app import create_app as create_scoring
from fitq.scoring.peers import Peers
from fitq.serving import Serving
from fitq.settings import Settings
from fitq.store.memory import MemoryObjects, MemoryState
from tests.conftest import eventually

TOKEN = "test-token"


class Platform(NamedTuple):
    """The API with its dashboard, and scoring behind it, on the same stores."""

    backend: Backend
    api: TestClient


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """With a model `right`, and a model `skewed` whose file answers otherwise than was recorded."""
    backend = Backend(workspace="default", state=MemoryState(), objects=MemoryObjects(), queue=NullQueue())
    file = tmp_path_factory.mktemp("serving") / "model.joblib"
    for name, labels in (("right", [0, 1]), ("skewed", [1, 0])):
        joblib.dump(LogisticRegression().fit([[0.0], [1.0]], labels), file)
        record = register(backend, RegisterRequest(name=name), upload=file)
        if name == "right":
            golden = backend.objects.get(backend.keys.model_golden(name, record.golden))
            assert golden is not None
            digest = record.golden
    backend.objects.put(backend.keys.model_golden("skewed", digest), golden)
    changed = msgspec.structs.replace(record, golden=digest)
    backend.objects.put(backend.keys.model_version("skewed", 1), to_json(changed))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        settings = Settings(token=TOKEN, scoring_url="http://outside:8701", scoring_inside_url=address)
        scoring = create_scoring(settings, backend.objects, Peers(tmp_path_factory.mktemp("scoring")))
        server = uvicorn.Server(uvicorn.Config(scoring, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            eventually(lambda: server.started, what="scoring")
            app = create_api(backend, settings, routes(backend, settings))
            with TestClient(app, base_url="http://127.0.0.1:8700") as api:
                api.headers["authorization"] = f"Bearer {TOKEN}"
                yield Platform(backend, api)
        finally:
            server.should_exit = True
            thread.join(20)


def known(api: TestClient, path: str) -> dict[str, Any]:
    """What is said of an endpoint as soon as its model was loaded, which may take a while."""
    return eventually(lambda: said if (said := api.get(path).json())["state"] != "Transitioning" else None)  # type: ignore[return-value]


def test_an_endpoint_is_as_healthy_as_the_versions_behind_it(platform: Platform) -> None:
    api = platform.api
    assert api.put("/v1/endpoints/good-one", json={"model": "right"}).status_code == 201
    assert known(api, "/v1/endpoints/good-one")["problem"] == ""
    assert api.put("/v1/endpoints/bad-one", json={"model": "skewed"}).status_code == 201
    made = known(api, "/v1/endpoints/bad-one")
    assert made["state"] == "Unhealthy"
    assert "answers otherwise here than when it was registered" in made["problem"]
    assert "fitq models approve skewed:1" in made["hint"]
    listed = {e["name"]: e["state"] for e in api.get("/v1/endpoints").json()["endpoints"]}
    assert listed == {"good-one": "Healthy", "bad-one": "Unhealthy"}


def test_an_approved_version_makes_its_endpoint_healthy(platform: Platform) -> None:
    api = platform.api
    api.put("/v1/endpoints/bad-one", json={"model": "skewed"})
    changed = api.patch("/v1/models/skewed/versions/1", json={"tolerated": True})
    assert changed.json()["tolerated"] is True
    eventually(lambda: api.get("/v1/endpoints/bad-one").json()["state"] == "Healthy")
    api.patch("/v1/models/skewed/versions/1", json={"tolerated": False})
    eventually(lambda: api.get("/v1/endpoints/bad-one").json()["state"] == "Unhealthy")


def test_the_pages_say_what_is_wrong(platform: Platform) -> None:
    platform.api.put("/v1/endpoints/bad-one", json={"model": "skewed"})
    assert known(platform.api, "/v1/endpoints/bad-one")["state"] == "Unhealthy"
    platform.api.get(f"/login?code={login_code(TOKEN)}")
    for page in ("/models/skewed", "/endpoints"):
        text = platform.api.get(page).text
        assert "Unhealthy" in text, page
        assert "answers otherwise here than when it was registered" in text, page
    assert "Unhealthy" not in platform.api.get("/models/right").text


def test_an_endpoint_whose_scoring_service_is_away_is_not_called_healthy() -> None:
    told = Serving("http://127.0.0.1:9", TOKEN).model("iris", 1)
    assert told.state == "Transitioning"
    assert "http://127.0.0.1:9 does not answer" in told.problem


def test_a_model_can_be_deleted_over_http(platform: Platform) -> None:
    api = platform.api
    platform.backend.objects.put(
        platform.backend.keys.model_version("gone", 1),
        to_json(msgspec.structs.replace(platform.backend.catalog.model("right"), name="gone")),
    )
    assert api.delete("/v1/models/gone/versions/latest").status_code == 400
    assert api.delete("/v1/models/gone/versions/1").status_code == 204
    assert api.get("/v1/models/gone").status_code == 404
    assert "gone" not in [m["name"] for m in api.get("/v1/models").json()["models"]]
