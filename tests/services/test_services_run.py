"""Each service boots with exactly the command and environment of docker-compose.yml, and they work as one."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fitq.snapshots import pack
from tests.conftest import eventually
from tests.services.compose_file import OURS
from tests.services.containers import Container

FLOWER = [5.1, 3.5, 1.4, 0.2]


def _wait_for_end(api: httpx2.Client, run_id: str, seconds: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run: dict[str, Any] = api.get(f"/v1/runs/{run_id}").raise_for_status().json()
        if run["status"] in ("Completed", "Failed", "Canceled"):
            return run
        time.sleep(0.05)
    raise AssertionError(f"{run_id} did not end: {run}")


def _submit(api: httpx2.Client, **request: Any) -> dict[str, Any]:
    answer = api.post("/v1/runs", json=request)
    assert answer.status_code == 202, answer.text
    run = _wait_for_end(api, answer.json()["id"])
    assert run["status"] == "Completed", (run, api.get(f"/v1/runs/{run['id']}/logs").text)
    return run


def test_a_function_of_the_image_is_submitted_registered_and_scored(
    api: httpx2.Client, scoring: httpx2.Client
) -> None:
    known = [f["name"] for f in api.get("/v1/functions").raise_for_status().json()["functions"]]
    assert "iris" in known

    run = _submit(api, function="iris", parameters={"kernel": "linear"}, experiment="compose")
    body = {"name": "compose-iris", "run": run["id"], "path": "outputs/model.joblib"}
    registered = api.post("/v1/models", json=body)
    assert registered.status_code == 201, registered.text

    answer = scoring.post("/models/compose-iris/score", json={"data": [FLOWER]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == [0]


def test_each_program_does_its_part_with_the_rights_of_its_own_user(
    api: httpx2.Client, scoring: httpx2.Client, tmp_path: Path
) -> None:
    """Whatever writes and reads other places of the bucket than the story above."""
    metadata = {"metadata": (None, '{"name": "numbers"}'), "file": ("numbers.csv", b"1\n2\n")}
    assert api.post("/v1/data", files=metadata).status_code == 201
    (tmp_path / "train.py").write_text(
        "import joblib, os\n"
        "from sklearn.dummy import DummyClassifier\n"
        "rows = [[float(n)] for n in open(os.environ['FITQ_INPUT_ROWS'])]\n"
        "joblib.dump(DummyClassifier().fit(rows, ['a', 'a']), 'outputs/model.joblib')\n"
    )
    snapshot = api.post("/v1/snapshots", content=pack(tmp_path).data).raise_for_status().json()["id"]
    asked = {"inputs": {"rows": "numbers"}, "register": [{"name": "dummy", "path": "outputs/model.joblib"}]}
    _submit(api, snapshot=snapshot, script="train.py", **asked)
    version = "/v1/models/dummy/versions/1"  # it follows the run's end within moments
    eventually(lambda: api.get(version).status_code == 200, what="the model of the run")
    for path, body in (
        ("models/dummy/aliases/prod", {"version": 1}),
        ("endpoints/dummies", {"model": "dummy", "auth": "key"}),
        ("pools/default", {"max_workers": 3}),
    ):
        assert api.put(f"/v1/{path}", json=body).status_code < 300, path
    key = api.get("/v1/endpoints/dummies/keys").raise_for_status().json()["primary"]
    answer = scoring.post(
        "/api/v1/service/dummies/score", json={"data": [[1.0]]}, headers={"Authorization": f"Bearer {key}"}
    )
    assert (answer.status_code, answer.json()) == (200, [[1.0]]), answer.text
    endpoint = "/v1/endpoints/dummies"  # the API asks scoring where the file says that it is
    eventually(lambda: api.get(endpoint).json()["state"] == "Healthy", what="a healthy endpoint")
    documents = {"documents": [{"kind": "Pool", "name": "night", "max_workers": 1}], "label": "compose"}
    assert api.post("/v1/apply", json=documents).status_code == 200
    for path in ("pools/night", "endpoints/dummies", "models/dummy/aliases/prod", "models/dummy/versions/1"):
        assert api.delete(f"/v1/{path}").status_code < 300, path


def test_the_dramatiq_command_line_runs_the_same_worker(
    api: httpx2.Client, compose: Any, tmp_path: Path
) -> None:
    """`dramatiq services.worker.main` instead of the service's own command, on a pool of its own."""
    command = ["dramatiq", "services.worker.main", "--processes", "1", "--threads", "1"]
    worker: Container = compose.start("worker", command, FITQ_POOL="supervised")
    worker.wait_until_healthy()

    (tmp_path / "hello.py").write_text("print('hello from a script')\n")
    snapshot = api.post("/v1/snapshots", content=pack(tmp_path).data).raise_for_status().json()["id"]
    run = _submit(api, snapshot=snapshot, script="hello.py", pool="supervised")
    assert "hello from a script" in api.get(f"/v1/runs/{run['id']}/logs").text

    left = worker.stop_like_docker(seconds=40)
    assert left == [], worker.tail()


def test_workers_that_are_scaled_share_their_volume_and_the_runs(
    api: httpx2.Client, compose: Any, tmp_path: Path
) -> None:
    """`docker compose up --scale worker=3`: one volume for what they keep, each run in one of them, once."""
    home, code = tmp_path / "home", tmp_path / "code"
    workers = [compose.start("worker", home=home, FITQ_POOL="scaled") for _ in range(3)]
    eventually(
        lambda: api.get("/v1/pools/scaled").json().get("workers") == 3, seconds=60, what="three workers"
    )
    code.mkdir()
    (code / "hello.py").write_text("import time\nprint('once')\ntime.sleep(0.3)\n")
    snapshot = api.post("/v1/snapshots", content=pack(code).data).raise_for_status().json()["id"]
    asked = {"snapshot": snapshot, "script": "hello.py", "pool": "scaled"}
    submitted = [api.post("/v1/runs", json=asked).raise_for_status().json()["id"] for _ in range(12)]

    ended = [_wait_for_end(api, run_id) for run_id in submitted]
    assert [(r["status"], r["attempt"]) for r in ended] == [("Completed", 1)] * 12
    assert all(api.get(f"/v1/runs/{i}/logs").text.split().count("once") == 1 for i in submitted)
    assert len({r["worker"] for r in ended}) > 1
    assert all(w.stop_like_docker(seconds=40) == [] for w in workers)
    kept = home / ".cache" / "fitq" / "work"
    assert [folder for folder in kept.iterdir() if (folder / "lock").exists()] == [], "folders of runs"


@pytest.mark.parametrize("name", OURS)
def test_a_wrong_setting_ends_a_service_with_a_sentence(name: str, compose: Any) -> None:
    wrong = {"FITQ_SCORE_ROWS": "many"}
    service: Container = compose.start(name, **wrong)
    deadline = time.monotonic() + 30
    while service.process.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.process.exit_code == 2
    assert "FITQ_SCORE_ROWS is 'many'" in service.tail()
    assert "Traceback" not in service.tail()


def test_sigterm_ends_every_service_and_leaves_no_process(services: dict[str, Container]) -> None:
    """Last in this file: it ends what the tests above share."""
    left = {name: service.stop_like_docker(seconds=40) for name, service in services.items()}
    assert left == {name: [] for name in OURS}
    for name, service in services.items():
        assert service.process.exit_code in (0, -signal.SIGTERM), name


def test_no_secret_is_in_any_log(compose: Any, variables: dict[str, str]) -> None:
    for container in compose.up.values():
        text = container.log.read_text(errors="replace")
        assert not [name for name, value in variables.items() if value in text], container.service


def test_the_object_store_refused_nobody(compose: Any) -> None:
    for container in compose.up.values():
        text = container.log.read_text(errors="replace")
        assert not re.findall(r"AccessDenied|answers 403", text), container.service
