"""The pages of environments: what was built, who used it, and what to do first."""

from __future__ import annotations

import msgspec
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.environments.kept import Kept, KeptEnvironment
from fitq.records import EnvironmentRecord, now
from tests.dashboard.samples import submitted

HASH, OTHER = "a" * 64, "b" * 64


def built(backend: Backend, hash: str, python: str) -> None:
    kept = KeptEnvironment(
        hash=hash, created_at=now(), python=python, tag="cpython-3.6", platform="linux-x86_64",
        requirements=["scikit-learn==0.24.2"], packages={"scikit-learn": "0.24.2", "<b>x": "1"}, locked="",
    )  # fmt: skip
    Kept(backend.objects, backend.keys).keep(kept, "resolving <b>\nenvironment ready")


def test_an_environment_shows_its_packages_and_who_used_it_last(
    client: TestClient, memory_backend: Backend
) -> None:
    built(memory_backend, OTHER, "3.9.2")
    built(memory_backend, HASH, "3.6.15")
    run = submitted(memory_backend)
    environment = EnvironmentRecord(name="<i>mine", hash=HASH, resolved_to=HASH[:12], python="3.6.15")
    used = msgspec.structs.replace(run, environment=environment, worker="w-7", sequence=run.sequence + 1)
    assert memory_backend.state.replace_run(used)

    listed = client.get("/environments").text
    assert listed.index(HASH[:12]) < listed.index(OTHER[:12])  # the one that was used
    for said in ("3.6.15", "scikit-learn==0.24.2", "&lt;i&gt;mine", f'href="/runs/{run.id}"', "on w-7",
                 "no run of late", "AzureML-Tutorial", "curated"):  # fmt: skip
        assert said in listed, said
    shown = client.get(f"/environments/{HASH}").text
    for said in ("0.24.2", "&lt;b&gt;x", "resolving &lt;b&gt;", f'href="/runs/{run.id}"', "linux-x86_64"):
        assert said in shown, said
    assert f'href="/environments/{HASH}"' in client.get(f"/runs/{run.id}").text
    for wrong in ("c" * 64, "nothing"):
        assert client.get(f"/environments/{wrong}").status_code == 404
