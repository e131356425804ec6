"""What is there when everything is quiet, read from three sides: the API, Redis and the bucket."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

import httpx2
import psutil
import redis
from minio import Minio

from chaos_lab.breaker import Absence
from chaos_lab.load import Submitted


@dataclass
class Evidence:
    """Plain data, so that it can also be made up."""

    accepted: list[Submitted] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  #: by id, as the API lists them
    artifacts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  #: as the API lists them
    contents: dict[str, dict[str, bytes]] = field(default_factory=dict)  #: run → path → bytes, by the API
    finals: dict[str, dict[str, Any]] = field(default_factory=dict)  #: final.json of each run in the bucket
    open_runs: set[str] = field(default_factory=set)  #: markers in the bucket
    redis_runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    redis_keys: set[str] = field(default_factory=set)  #: without the workspace's prefix
    leases: set[str] = field(default_factory=set)
    indexes: dict[str, set[str]] = field(default_factory=dict)  #: status → run ids that Redis lists there
    messages: int = 0  #: in all queues, fetched or not
    model_versions: dict[int, str] = field(default_factory=dict)  #: version → run, in the bucket
    registered: list[int] = field(default_factory=list)  #: versions that clients were told
    absences: list[Absence] = field(default_factory=list)
    redis_losses: list[float] = field(default_factory=list)  #: when Redis may have forgotten, since 1970
    living: list[str] = field(default_factory=list)  #: processes of runs that have ended
    answered: list[str] = field(default_factory=list)  #: violations that clients saw


def read_api(evidence: Evidence, url: str, token: str) -> None:
    """Every run, its artifacts and their bytes."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:

        def ask(path: str, **query: Any) -> httpx2.Response:
            answer = client.get(path, params=query)
            answer.raise_for_status()
            return answer

        cursor = ""
        while cursor is not None:
            page = ask("/v1/runs", limit=200, **({"cursor": cursor} if cursor else {})).json()
            evidence.runs |= {run["id"]: run for run in page["runs"]}
            cursor = page["next_cursor"]
        for run in evidence.runs:
            listed = ask(f"/v1/runs/{run}/artifacts").json()["artifacts"]
            evidence.artifacts[run] = listed
            evidence.contents[run] = {
                a["path"]: ask(f"/v1/runs/{run}/artifacts/{a['path']}").content for a in listed
            }


def read_redis(evidence: Evidence, client: redis.Redis, workspace: str = "default") -> None:
    """Every key of the platform."""
    prefix = f"fitq:{workspace}:"
    names = [key.decode() for key in client.scan_iter(f"{prefix}*", count=1000)]
    evidence.redis_keys = {name.removeprefix(prefix) for name in names}
    for name in evidence.redis_keys:
        kind, _, rest = name.partition(":")
        if kind == "run" and ":" not in rest:
            evidence.redis_runs[rest] = json.loads(client.get(prefix + name) or b"{}")  # type: ignore[arg-type]
        elif name.startswith("runs:status:"):
            members = client.zrange(prefix + name, 0, -1)
            evidence.indexes[name.rpartition(":")[2]] = {m.decode() for m in members}  # type: ignore[union-attr]
    evidence.leases = {m.decode() for m in client.zrange(f"{prefix}leases", 0, -1)}  # type: ignore[union-attr]
    queues = client.scan_iter("dramatiq:*.msgs", count=1000)
    evidence.messages = sum(int(client.hlen(queue)) for queue in queues)  # type: ignore[arg-type]


def read_bucket(evidence: Evidence, client: Minio, bucket: str, workspace: str = "default") -> None:
    """Final records, markers and models."""

    def read(key: str) -> dict[str, Any]:
        answer = client.get_object(bucket_name=bucket, object_name=key)
        try:
            return dict(json.loads(answer.read()))
        finally:
            answer.close()
            answer.release_conn()

    for found in client.list_objects(bucket_name=bucket, prefix=f"{workspace}/", recursive=True):
        parts = str(found.object_name).split("/")
        if parts[1] == "open":
            evidence.open_runs.add(parts[2].removesuffix(".json"))
        elif parts[1] == "runs" and parts[-1] == "final.json":
            evidence.finals[parts[2]] = read(str(found.object_name))
        elif parts[1] == "models" and parts[3] == "versions":
            evidence.model_versions[int(parts[4].removesuffix(".json"))] = read(str(found.object_name))["run"]


def living_processes(runs: set[str]) -> list[str]:
    """Processes that carry the id of one of these runs."""
    found = []
    for process in psutil.process_iter():
        try:
            run = process.environ().get("FITQ_RUN_ID", "")
            if run in runs and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(f"{run}: pid {process.pid}")
        except psutil.Error:
            continue
    return found


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
