"""The pages of data: what there is, what is in it, and how a run takes it."""

from __future__ import annotations

import hashlib

import msgspec
from starlette.testclient import TestClient

from fitq import data
from fitq.backend import Backend
from fitq.records import DataFile, DataRecord, DataRequest
from tests.dashboard.samples import submitted


def sent(backend: Backend, content: bytes) -> DataRecord:
    sha256 = hashlib.sha256(content).hexdigest()
    data.keep_part(backend, sha256, content)
    file = DataFile(path="sub/<b>rows.csv", size_bytes=len(content), parts=[sha256])
    return data.add(backend, DataRequest(name="rows", files=[file], is_folder=True, description="all rows"))


def test_each_version_shows_its_files_and_the_command_that_uses_it(
    client: TestClient, memory_backend: Backend
) -> None:
    sent(memory_backend, b"1")
    sent(memory_backend, b"22")
    listed = client.get("/data").text
    assert 'href="/data/rows"' in listed
    assert "all rows" in listed
    newest = client.get("/data/rows").text
    assert "version 2" in newest
    assert "sub/&lt;b&gt;rows.csv" in newest
    assert "fitq submit train.py --input data=rows:2" in newest
    assert 'href="/data/rows/versions/1"' in newest
    assert "version 1" in client.get("/data/rows/versions/1").text
    assert client.get("/data/rows/versions/3").status_code == 404


def test_a_run_links_to_the_data_that_it_took(client: TestClient, memory_backend: Backend) -> None:
    run = submitted(memory_backend)
    taken = msgspec.structs.replace(run, inputs={"train": "rows:2"}, sequence=run.sequence + 1)
    assert memory_backend.state.replace_run(taken)
    assert 'href="/data/rows/versions/2"' in client.get(f"/runs/{run.id}").text
