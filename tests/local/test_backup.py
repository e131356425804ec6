"""Everything wiped, everything back: what was accepted, what is kept, what answers to the same keys."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest
import urllib3

from fitq.errors import Conflict, InvalidRequest
from fitq.local.backup import backup, restore
from fitq.local.bucket import bucket_of
from fitq.local.home import Home
from fitq.local.stack import Stack
from fitq.records import EndpointRequest, PoolSettings, RegisterRequest, RunRequest, RunStatus
from fitq.sdk.client import Client
from fitq.store.memory import MemoryObjects
from tests.conftest import FUNCTIONS, eventually

ROW = {"data": [[5.1, 3.5, 1.4, 0.2]]}


def platform(folder: Path, **settings: str) -> Stack:
    environment = {**os.environ, **settings}
    return Stack(folder / ".fitq", functions=FUNCTIONS, api_port=0, scoring_port=0, environment=environment)


def scores(url: str, key: str) -> object:
    answer = urllib3.request("POST", url, json=ROW, headers={"Authorization": f"Bearer {key}"})
    return answer.json() if answer.status == 200 else None


def test_a_platform_that_is_wiped_comes_back_from_its_backup(tmp_path: Path) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "backup.tar"
    with platform(first) as stack, Client(stack.settings.url, stack.settings.token) as client:
        run = client.submit_run(RunRequest(function="iris", parameters={"penalty": 0.5}, tags={"by": "ana"}))
        ended = eventually(lambda: (r := client.get_run(run.id)).status.is_final and r)
        assert ended.status is RunStatus.COMPLETED, ended.failure
        client.register_model(RegisterRequest(name="iris", run=run.id, path="outputs/model.joblib"))
        client.deploy("flowers", EndpointRequest(model="iris"))
        client.configure_pool("night", PoolSettings(max_workers=3))
        snapshot = client.upload_snapshot(_script(tmp_path))
        waiting = client.submit_run(RunRequest(snapshot=snapshot, script="train.py", pool="night"))
        before = (client.documents(), client.metrics(run.id), client.artifacts(run.id))
        log, key = client.read_whole_log(run.id), client.keys("flowers").primary
        with bucket_of(Home(first / ".fitq"), {}, alone=False) as (objects, workspace):
            kept = backup(objects, workspace, file)  # while it works
        assert kept.objects > 5
        assert file.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(first)

    with bucket_of(Home(second / ".fitq"), {}, alone=True) as (objects, workspace):
        assert restore(objects, workspace, file) == kept
    # Redis is filled again when workers have had a lease's time to put back what they execute.
    with (
        platform(second, FITQ_LEASE_SECONDS="2") as stack,
        Client(stack.settings.url, stack.settings.token) as client,
    ):
        eventually(lambda: client.list_runs().runs, seconds=60, what="the runs being listed again")
        back = eventually(lambda: _found(client, run.id))
        assert back == ended
        assert (client.documents(), client.metrics(run.id), client.artifacts(run.id)) == before
        assert client.read_whole_log(run.id) == log
        assert eventually(lambda: _found(client, waiting.id)).status is RunStatus.QUEUED
        address = f"{stack.settings.scoring_url}/api/v1/service/flowers/score"
        assert eventually(lambda: scores(address, key)), "the key of before opens it"
        assert client.get_pool("night").max_workers == 3


def _found(client: Client, run_id: str) -> object:
    return next((r for r in client.list_runs().runs if r.id == run_id), None)


def _script(folder: Path) -> bytes:
    from fitq.snapshots import pack

    (folder / "source").mkdir()
    (folder / "source" / "train.py").write_text("print('on')")
    return pack(folder / "source").data


@pytest.fixture
def store() -> MemoryObjects:
    objects = MemoryObjects()
    objects.put("default/runs/a/final.json", b"{}")
    objects.put("default/open/b.json", b"{}")
    objects.put("other/models/x", b"not ours")
    return objects


def test_only_the_workspace_is_in_it_and_another_name_can_take_it(
    store: MemoryObjects, tmp_path: Path
) -> None:
    backup(store, "default", tmp_path / "b.tar")
    elsewhere = MemoryObjects()
    restore(elsewhere, "new", tmp_path / "b.tar")
    assert [o.key for o in elsewhere.list("")] == ["new/open/b.json", "new/runs/a/final.json"]
    with pytest.raises(Conflict, match="holds something"):
        restore(elsewhere, "new", tmp_path / "b.tar")
    with pytest.raises(Conflict, match="is there already"):
        backup(store, "default", tmp_path / "b.tar")
    assert [p.name for p in tmp_path.iterdir()] == ["b.tar"]


@pytest.mark.parametrize("harm", ["cut", "changed", "other", "text", "empty", "last"])
def test_a_file_that_is_not_whole_is_refused_before_anything_is_written(
    store: MemoryObjects, tmp_path: Path, harm: str
) -> None:
    file = tmp_path / "b.tar"
    backup(store, "default", file)
    data = bytearray(file.read_bytes())
    if harm == "changed":
        data[data.index(b"{}", data.index(b"objects/"))] = ord("[")
    file.write_bytes({"cut": data[:1700], "text": b"no tar", "empty": b""}.get(harm, data))
    if harm == "other":
        with tarfile.open(file, "w") as tar:
            tar.add(__file__)
    if harm == "last":  # as if it had been cut exactly before its list
        with tarfile.open(file) as whole, tarfile.open(tmp_path / "c.tar", "w") as tar:
            for member in whole.getmembers()[:-1]:
                tar.addfile(member, whole.extractfile(member))
        (tmp_path / "c.tar").replace(file)
    elsewhere = MemoryObjects()
    with pytest.raises(InvalidRequest, match="no backup, or not whole"):
        restore(elsewhere, "default", file)
    assert list(elsewhere.list("")) == []


def test_a_folder_that_has_been_used_is_not_restored_into(tmp_path: Path) -> None:
    home = Home(tmp_path / ".fitq")
    (home.folder / "redis").mkdir(parents=True)
    with pytest.raises(Conflict, match="has been used"), bucket_of(home, {}, alone=True):
        pass
