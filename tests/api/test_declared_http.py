"""What changes over HTTP: replaced only over what was read, and taken away as often as anybody likes."""

from __future__ import annotations

from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from fitq import pools
from fitq.backend import Backend
from fitq.records import PoolSettings
from fitq.scheduler.care import Care
from tests.api.conftest import refused
from tests.conftest import keep_model


def test_a_pool_is_put_and_read_as_it_was_put(api: TestClient) -> None:
    put = {"min_workers": 1, "max_workers": 3, "idle_seconds": 60}
    answer = api.put("/v1/pools/cpu", json=put)
    assert answer.status_code == 200
    read = api.get("/v1/pools/cpu")
    assert put.items() <= read.json().items()
    assert read.headers["etag"] == answer.headers["etag"]


def test_a_pool_is_replaced_only_over_the_revision_that_was_read(api: TestClient) -> None:
    first = api.put("/v1/pools/cpu", json={"min_workers": 1}, headers={"if-none-match": "*"})
    refused(api.put("/v1/pools/cpu", json={}, headers={"if-none-match": "*"}), 412, "outdated")
    read = {"if-match": first.headers["etag"]}
    assert api.put("/v1/pools/cpu", json={"min_workers": 2}, headers=read).status_code == 200
    refused(api.put("/v1/pools/cpu", json={"min_workers": 3}, headers=read), 412, "outdated")
    refused(api.delete("/v1/pools/cpu", headers=read), 412, "outdated")
    assert api.get("/v1/pools/cpu").json()["min_workers"] == 2


def test_deleting_twice_is_fine(api: TestClient) -> None:
    api.put("/v1/pools/cpu", json={"min_workers": 1})
    for path in ("/v1/pools/cpu", "/v1/endpoints/flowers"):
        assert [api.delete(path).status_code for _ in range(2)] == [204, 204]
    refused(api.get("/v1/pools/cpu"), 404, "not_found")


def test_an_alias_is_put_read_and_taken_away_like_everything_that_changes(
    api: TestClient, backend: Backend
) -> None:
    keep_model(backend, "iris", 1, 2)
    path = "/v1/models/iris/aliases/prod"
    first = api.put(path, json={"version": 1}, headers={"if-none-match": "*"})
    assert (first.status_code, api.get(path).json()) == (200, {"name": "iris", "alias": "prod", "version": 1})
    read = {"if-match": first.headers["etag"]}
    assert api.put(path, json={"version": 2}, headers=read).status_code == 200
    refused(api.put(path, json={"version": 1}, headers=read), 412, "outdated")
    assert [api.delete(path).status_code for _ in range(2)] == [204, 204]
    refused(api.get(path), 404, "not_found")


def test_a_model_is_put_and_read_as_it_was_put(api: TestClient, backend: Backend) -> None:
    keep_model(backend, "iris", 1)
    put = {"aliases": {"prod": 1}, "description": "Which iris it is.", "tags": {"team": "garden"}}
    assert put.items() <= api.put("/v1/models/iris", json=put).json().items()
    assert put.items() <= api.get("/v1/models/iris").json().items()


def test_what_was_said_about_pools_outlives_redis(api: TestClient, backend: Backend) -> None:
    api.put("/v1/pools/cpu", json={"min_workers": 2})
    backend.state.drop_pool("cpu")  # as if Redis had lost its data
    Care(backend, lease_seconds=15).restore_open()
    assert pools.find_pool(backend, "cpu").min_workers == 2
    assert backend.state.list_pools() == {"cpu": PoolSettings(min_workers=2)}


def test_documents_are_planned_applied_and_read_back(api: TestClient) -> None:
    body = {"documents": [{"kind": "Pool", "name": "cpu", "min_workers": 1}], "label": "a"}
    planned = api.post("/v1/plan", json=body).json()
    assert [(c["kind"], c["action"]) for c in planned["changes"]] == [("Pool", "create")]
    assert api.post("/v1/apply", json=body).json() == planned
    assert [c["action"] for c in api.post("/v1/plan", json=body).json()["changes"]] == ["keep"]
    assert api.get("/v1/documents", params={"label": "a"}).json() == {"documents": body["documents"]}
    assert api.get("/v1/documents", params={"label": "b"}).json() == {"documents": []}


def test_wrong_documents_are_one_refusal_with_every_problem(api: TestClient) -> None:
    documents = [{"kind": "Pool", "name": "cpu", "min_workers": -1}, {"kind": "Tulip", "name": "x"}]
    body = refused(api.post("/v1/plan", json={"documents": documents}), 400, "invalid_request")
    assert [(p["document"], p["at"]) for p in body["problems"]] == [(0, "min_workers"), (1, "kind")]
    assert body["at"] == "documents[0].min_workers"


def test_the_schema_agrees_with_the_server(api: TestClient) -> None:
    schema = api.get("/v1/documents/schema").json()
    Draft202012Validator.check_schema(schema)
    fits = Draft202012Validator(schema).is_valid
    assert fits({"kind": "Pool", "name": "cpu", "max_workers": 3})
    assert fits({"kind": "Endpoint", "name": "flowers", "model": "iris", "traffic": {"1": 100}})
    assert fits({"kind": "Data", "name": "rows", "path": "rows.csv", "tags": {"a": "b"}})
    assert fits({"kind": "Data", "name": "rows", "digest": "0" * 64})
    assert fits({"kind": "Function", "name": "train", "folder": "code", "environment": "sk"})
    assert fits({"kind": "Function", "name": "train", "folder": "code", "environment": {"pip": ["joblib"]}})
    assert not fits({"kind": "Data", "name": "rows", "path": "rows.csv", "digest": "0" * 64})
    assert not fits({"kind": "Data", "name": "rows"})
    assert not fits({"kind": "Function", "name": "train", "folder": "code", "environment": 3})
    assert not fits({"kind": "Pool", "name": "CPU"})
    assert not fits({"kind": "Pool", "name": "cpu", "workers": 3})
    assert not fits({"kind": "Endpoint", "name": "flowers"})
    assert not fits({"kind": "Endpoint", "name": "flowers", "model": "iris", "traffic": {"1": "all"}})
