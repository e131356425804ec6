"""What can be declared is plain REST too: PUT, GET and DELETE mean the same for every kind."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from fitq import data, kept_snapshots
from fitq.backend import Backend
from fitq.declared.kinds import KINDS
from fitq.records import DataContent, DataFile
from fitq.snapshots import pack
from tests.api.conftest import refused
from tests.conftest import keep_model

Fields = dict[str, Any]


class Case(NamedTuple):
    """Two bodies for one address, and what the second leaves at its default."""

    path: str
    first: Fields
    second: Fields
    defaults: Fields
    listed: str = ""  #: under which name the collection lists it; empty: there is no collection
    outlives_delete: bool = True  #: whether it can be put again; versions of models come from runs


CASES = {
    "Environment": Case(
        "/v1/environments/sk", {"spec": {"pip": ["numpy"]}}, {"spec": {"pip": ["joblib"]}}, {}, "environments"
    ),
    "Data": Case(
        "/v1/data/rows",
        {"digest": "a.csv", "description": "Rows.", "tags": {"a": "b"}},
        {"digest": "b.csv"},
        {"description": "", "tags": {}},
        "data",
    ),
    "Pool": Case(
        "/v1/pools/cpu",
        {"min_workers": 1, "max_workers": 3, "idle_seconds": 7},
        {"max_workers": 4},
        {"min_workers": 0, "idle_seconds": 300, "secrets": None},
        "pools",
    ),
    "Function": Case(
        "/v1/functions/train",
        {"snapshot": "1", "pool": "cpu", "environment": {"pip": ["joblib"], "python": "3.11"}},
        {"snapshot": "2"},
        {"pool": "default", "environment": None},
    ),
    "Model": Case(
        "/v1/models/iris",
        {"aliases": {"prod": 1}, "description": "Which iris it is.", "tags": {"team": "garden"}},
        {"aliases": {"next": 2}},
        {"description": "", "tags": {}},
        "models",
        outlives_delete=False,
    ),
    "alias": Case("/v1/models/iris/aliases/prod", {"version": 1}, {"version": 2}, {}),
    "Endpoint": Case(
        "/v1/endpoints/flowers",
        {"model": "iris", "traffic": {"1": 90, "2": 10}, "auth": "none", "tags": {"team": "a"}},
        {"model": "iris", "traffic": {"2": 100}},
        {"auth": "key", "tags": {}, "description": ""},
        "endpoints",
    ),
}


@pytest.fixture
def sent(backend: Backend, tmp_path: Path) -> dict[str, str]:
    """What bodies of this file call by a short name: two folders of code, two files of data, two versions."""
    keep_model(backend, "iris", 1, 2)
    found = {}
    for name in ("1", "2"):
        (tmp_path / "train.py").write_text(f"# {name}")
        code = io.BytesIO(pack(tmp_path).data)
        found[name] = kept_snapshots.keep_snapshot(backend, code, max_bytes=10**6, max_files=9)
    for name in ("a.csv", "b.csv"):
        content = DataContent(files=[DataFile(path=name, size_bytes=0, parts=[])])
        found[name] = data.keep_content(backend, content)
    return found


def test_every_kind_has_its_case() -> None:
    assert CASES.keys() - {"alias"} == KINDS.keys()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_put_is_read_replaced_as_a_whole_and_deleted_twice(
    api: TestClient, sent: dict[str, str], case: Case
) -> None:
    first, second = (
        {field: sent.get(value, value) if isinstance(value, str) else value for field, value in body.items()}
        for body in (case.first, case.second)
    )
    name = case.path.rpartition("/")[2]

    answer = api.put(case.path, json=first)
    assert answer.status_code in (200, 201), answer.text
    assert first.items() <= answer.json().items()
    assert first.items() <= api.get(case.path).json().items()
    refused(api.put(case.path, json=second, headers={"if-none-match": "*"}), 412, "outdated")
    refused(api.put(case.path, json={**second, "colour": "red"}), 400, "invalid_request")

    read = {"if-match": api.get(case.path).headers["etag"]}
    assert api.put(case.path, json=second, headers=read).status_code == 200
    assert {**second, **case.defaults}.items() <= api.get(case.path).json().items()
    assert api.put(case.path, json=second).status_code == 200, "as often as anybody likes"
    assert {**second, **case.defaults}.items() <= api.get(case.path).json().items()
    refused(api.put(case.path, json=first, headers=read), 412, "outdated")
    if case.listed:
        assert name in names(api, case)

    assert [api.delete(case.path).status_code for _ in range(2)] == [204, 204]
    refused(api.get(case.path), 404, "not_found")
    if case.listed:
        assert name not in names(api, case)
    if case.outlives_delete:
        assert api.put(case.path, json=first, headers={"if-none-match": "*"}).status_code in (200, 201)
        assert first.items() <= api.get(case.path).json().items()


def names(api: TestClient, case: Case) -> list[str]:
    answer = api.get(case.path.rpartition("/")[0])
    return [one["name"] for one in answer.json()[case.listed]]
