"""Runs over HTTP: the contract, and every way to get it wrong."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fitq import attempts, claims, final_records, restoring, submission
from fitq.backend import Backend
from fitq.final_records import LOG_PATH
from fitq.records import ArtifactRecord, MetricPoint, RunRecord, RunStatus, now
from fitq.snapshots import pack
from tests.api.conftest import refused
from tests.test_snapshots import HOSTILE


def submitted(api: TestClient, **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/runs", json={"function": "iris", **body})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def to_running(backend: Backend, run_id: str) -> RunRecord:
    claimed = claims.claim(backend, run_id, "w1")
    assert claimed is not None
    return attempts.change(backend, claimed, lambda r: attempts.step(r, RunStatus.RUNNING))


def to_final(backend: Backend, run: RunRecord, log: bytes = b"") -> RunRecord:
    run = attempts.change(backend, run, lambda r: attempts.step(r, RunStatus.FINALIZING))
    files = {"outputs/model größe.txt": b"bytes", LOG_PATH: log}
    for path, data in files.items():
        backend.objects.put(backend.keys.attempt_file(run, path), data)
    artifacts = [
        ArtifactRecord(path=p, size_bytes=len(d), sha256=hashlib.sha256(d).hexdigest())
        for p, d in files.items()
    ]
    points = [MetricPoint(name="Accuracy", value=v, at=now(), step=n) for n, v in enumerate([0.5, 0.9])]
    return final_records.finish(backend, run, RunStatus.COMPLETED, artifacts=artifacts, metrics=points)


def test_a_function_is_submitted_and_found(api: TestClient) -> None:
    answer = api.post("/v1/runs", json={"function": "iris", "experiment": "e", "parameters": {"penalty": 2}})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/v1/runs/{run['id']}"
    assert (run["status"], run["attempt"], run["pool"]) == ("Queued", 0, "default")
    assert run["created_at"].endswith("Z")
    assert api.get(answer.headers["location"]).json() == run
    assert [r["id"] for r in api.get("/v1/runs?experiment=e").json()["runs"]] == [run["id"]]
    assert api.get("/v1/runs?status=Completed").json() == {"runs": [], "next_cursor": None}
    assert api.get("/v1/experiments").json() == {"experiments": [{"name": "e", "runs": 1}]}


def test_a_snapshot_is_uploaded_once_and_run(api: TestClient, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    packed = pack(tmp_path)
    first = api.post("/v1/snapshots", content=packed.data)
    assert (first.status_code, first.json()) == (201, {"id": packed.sha256})
    assert api.post("/v1/snapshots", content=packed.data).json() == {"id": packed.sha256}
    body = {"snapshot": packed.sha256, "script": "train.py", "arguments": ["--k", 1.5], "pool": "nobody-yet"}
    run = api.post("/v1/runs", json=body).json()
    assert (run["script"], run["arguments"], run["pool"]) == ("train.py", ["--k", "1.5"], "nobody-yet")
    assert api.get(f"/v1/runs/{run['id']}/snapshot").content == packed.data


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_snapshot_is_refused(api: TestClient, kind: str) -> None:
    refused(api.post("/v1/snapshots", content=HOSTILE[kind]()), 400, "unsafe_snapshot")


@pytest.mark.parametrize(
    ("body", "status", "code", "at"),
    [
        ("", 400, "invalid_request", "$"),
        ("nonsense", 400, "invalid_request", "$"),
        ("[]", 400, "invalid_request", "$"),
        ('{"function": 5}', 400, "invalid_request", "$.function"),
        ('{"function": "iris", "unknown_field": 1}', 400, "invalid_request", "$"),
        ('{"function": "iris", "parameters": {"penalty": [1]}}', 400, "invalid_request", "$.parameters[...]"),
        ('{"function": "iris", "resources": {"cpus": "two"}}', 400, "invalid_request", "$.resources.cpus"),
        ('{"function": "iris", "timeout_seconds": NaN}', 400, "invalid_request", "$"),
        ('{"function": "iris", "max_attempts": 1e3}', 400, "invalid_request", "$.max_attempts"),
        ('{"function": "\ud800"}', 400, "invalid_request", "$"),
        ("[" * 100_000, 400, "invalid_request", "$"),
        ('{"tags": ' + "[" * 100_000, 400, "invalid_request", None),
        ('{"parameters": {"penalty": ' + "9" * 5000 + "}}", 400, "invalid_request", None),
        ('{"function": "iris", "pool": "../x"}', 404, "not_found", None),
        ('{"function": "no-such"}', 404, "not_found", None),
        ('{"function": "iris", "parameters": {"penlty": 1}}', 400, "invalid_parameters", ["penlty"]),
        ('{"script": "x.py", "snapshot": "../../etc"}', 400, "invalid_request", "snapshot"),
    ],
)
def test_a_wrong_request_says_what_and_where(
    api: TestClient, body: str, status: int, code: str, at: object
) -> None:
    answer = api.post(
        "/v1/runs",
        content=body.encode("utf-8", "surrogatepass"),
        headers={"content-type": "application/json"},
    )
    found = refused(answer, status, code)
    if at is not None:
        assert found["at"] == at
    assert api.get("/v1/runs").json()["runs"] == []


def test_a_body_that_is_too_large_is_refused_unread(api: TestClient) -> None:
    refused(api.post("/v1/runs", content=b" " * 10_000_001, headers=JSON), 413, "too_large")


def test_a_body_of_unknown_length_is_read_up_to_the_limit(api: TestClient) -> None:
    pieces = (b" " * 1_000_000 for _ in range(11))
    refused(api.post("/v1/runs", content=pieces, headers=JSON), 413, "too_large")


JSON = {"content-type": "application/json"}


def test_another_content_type_is_refused(api: TestClient) -> None:
    answer = api.post("/v1/runs", content=b"x", headers={"content-type": "text/plain"})
    refused(answer, 415, "unsupported_media_type")


def test_the_same_idempotency_key_is_the_same_run(api: TestClient) -> None:
    key = {"idempotency-key": "once"}
    first = api.post("/v1/runs", json={"function": "iris"}, headers=key).json()
    again = api.post("/v1/runs", json={"function": "iris"}, headers=key).json()
    assert first["id"] == again["id"]
    refused(api.post("/v1/runs", json={"function": "iris", "experiment": "x"}, headers=key), 409, "conflict")
    refused(
        api.post("/v1/runs", json={"function": "iris"}, headers={"idempotency-key": "k" * 201}),
        400, "invalid_request",
    )  # fmt: skip


def test_runs_are_paged(api: TestClient) -> None:
    made = [submitted(api, tags={"n": str(n)})["id"] for n in range(5)]
    page = api.get("/v1/runs?limit=2&order=asc").json()
    rest = api.get(f"/v1/runs?limit=10&order=asc&cursor={page['next_cursor']}").json()
    assert [r["id"] for r in page["runs"] + rest["runs"]] == made
    assert [r["id"] for r in api.get("/v1/runs?tag=n=3").json()["runs"]] == [made[3]]


#: A number that no store takes.
CURSOR = f"cursor={base64.urlsafe_b64encode(b'9' * 30).decode()}"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "limit=-1",
        "limit=²",
        "status=Done",
        "order=up",
        "cursor=%F0",
        CURSOR,
        "experiment=../x",
    ],
)
def test_a_wrong_query_is_refused(api: TestClient, query: str) -> None:
    refused(api.get(f"/v1/runs?{query}"), 400, "invalid_request")


def test_metrics_artifacts_and_log_of_an_ended_run(api: TestClient, backend: Backend) -> None:
    run = to_final(backend, to_running(backend, submitted(api)["id"]), log="Größe\n".encode())
    series = api.get(f"/v1/runs/{run.id}/metrics").json()["metrics"]["Accuracy"]
    assert [(p["value"], p["step"]) for p in series] == [(0.5, 0), (0.9, 1)]
    assert series[0]["at"].endswith("Z")
    listed = api.get(f"/v1/runs/{run.id}/artifacts").json()["artifacts"]
    assert [a["path"] for a in listed] == ["outputs/model größe.txt", "user_logs/std_log.txt"]
    got = api.get(f"/v1/runs/{run.id}/artifacts/outputs/model größe.txt")
    assert got.content == b"bytes"
    assert got.headers["content-disposition"].startswith("attachment")
    log = api.get(f"/v1/runs/{run.id}/logs?offset=3")
    assert log.content == "öße\n".encode()[1:]
    assert (log.headers["x-fitq-complete"], log.headers["x-fitq-next-offset"]) == ("true", "8")
    body = refused(api.get(f"/v1/runs/{run.id}/artifacts/outputs/nothing"), 404, "not_found")
    assert "outputs/model größe.txt" in body["files"]


def test_a_file_that_was_altered_is_not_downloaded(api: TestClient, backend: Backend) -> None:
    run = to_final(backend, to_running(backend, submitted(api)["id"]))
    backend.objects.put(backend.keys.attempt_file(run, "outputs/model größe.txt"), b"bytEs")
    body = refused(api.get(f"/v1/runs/{run.id}/artifacts/outputs/model größe.txt"), 503, "unavailable")
    assert "outputs/model größe.txt" in body["message"]


def test_a_path_of_an_artifact_cannot_leave_the_run(api: TestClient, backend: Backend) -> None:
    run = to_final(backend, to_running(backend, submitted(api)["id"]))
    for path in ("..%2f..%2ffinal.json", "%2e%2e/%2e%2e/final.json", "outputs/../../../final.json", "%00"):
        assert api.get(f"/v1/runs/{run.id}/artifacts/{path}").status_code in (400, 404)


def test_a_log_is_followed_to_its_end(api: TestClient, backend: Backend) -> None:
    run = to_running(backend, submitted(api)["id"])
    backend.state.append_log(run.id, b"one\n")

    def goes_on() -> None:
        backend.state.append_log(run.id, b"two\n")
        to_final(backend, run, log=b"one\ntwo\n")

    timer = threading.Timer(0.4, goes_on)
    timer.start()
    assert api.get(f"/v1/runs/{run.id}/logs?follow=true").content == b"one\ntwo\n"
    timer.join()


def events(api: TestClient, path: str, **headers: str) -> list[tuple[str, str, str]]:
    """(event, id, data) of a whole stream."""
    answer = api.get(path, headers={"accept": "text/event-stream", **headers})
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), fields.get("data", "")))
    return found


def test_events_carry_offsets_so_that_a_reader_can_come_back(api: TestClient, backend: Backend) -> None:
    run = to_final(backend, to_running(backend, submitted(api)["id"]), log="eins\nzwölf\n".encode())
    path = f"/v1/runs/{run.id}/logs"
    assert events(api, path) == [
        ("log", "12", '"eins\\nzwölf\\n"'),
        ("status", "", "Completed"),
        ("end", "", "Completed"),
    ]
    assert events(api, path, **{"last-event-id": "5"})[0] == ("log", "12", '"zwölf\\n"')
    assert events(api, path, **{"last-event-id": "9" * 5000})[0] == ("log", "12", '"eins\\nzwölf\\n"')
    assert events(api, path + "?offset=12") == [("status", "", "Completed"), ("end", "", "Completed")]


def test_cancel(api: TestClient, backend: Backend) -> None:
    queued = submitted(api)
    canceled = api.post(f"/v1/runs/{queued['id']}/cancel")
    assert (canceled.status_code, canceled.json()["status"]) == (202, "Canceled")
    assert api.post(f"/v1/runs/{queued['id']}/cancel").status_code == 202
    done = to_final(backend, to_running(backend, submitted(api)["id"]))
    refused(api.post(f"/v1/runs/{done.id}/cancel"), 409, "conflict")


def test_a_log_of_any_bytes_is_served_as_they_are_and_followed_as_text(
    api: TestClient, backend: Backend
) -> None:
    flood = b"\x1b[2J\x00\xff\xc3\r<script>\x1b]52;c;eA==\x07\n" * 5_000 + "é".encode()
    run = to_final(backend, to_running(backend, submitted(api)["id"]), log=flood)
    path = f"/v1/runs/{run.id}/logs"
    raw = api.get(path)
    assert raw.content == flood
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.headers["x-content-type-options"] == "nosniff"
    found = [event for event in events(api, path) if event[0] == "log"]
    assert "".join(json.loads(data) for _, _, data in found) == flood.decode("utf-8", "replace")
    assert found[-1][1] == str(len(flood))
    assert not any(c < " " for _, _, data in found for c in data), "no byte of a log ends an event"


@pytest.mark.parametrize("name", ["nobody-1", "A", "..", "%2e%2e", "a" * 65, "é", "a%00b", "CON"])
@pytest.mark.parametrize("rest", ["", "/metrics", "/artifacts", "/logs", "/snapshot", "/artifacts/x"])
def test_a_run_that_is_not_there(api: TestClient, name: str, rest: str) -> None:
    answer = api.get(f"/v1/runs/{name}{rest}")
    assert answer.status_code in (400, 404)
    assert answer.json()["message"]


def test_a_run_survives_a_crash_between_the_writes_of_a_submit(
    api: TestClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted is what lies in the object store; the scheduler queues it again."""

    class Killed(BaseException): ...

    def killed(run: RunRecord) -> bool:
        raise Killed

    monkeypatch.setattr(backend.state, "add_run", killed)
    with pytest.raises(Killed):
        submission.submit(backend, submission.RunRequest(function="iris"))
    monkeypatch.undo()
    assert restoring.restore_open(backend) == 1
    (found,) = api.get("/v1/runs").json()["runs"]
    assert found["status"] == "Queued"


def test_an_upload_of_an_empty_body(api: TestClient) -> None:
    refused(api.post("/v1/snapshots", content=io.BytesIO(b"").read()), 400, "unsafe_snapshot")
