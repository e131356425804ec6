"""Real models in a memory store, behind the real app and the real scorer child."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import msgspec
import pytest
from bodies_lab.curl import taken_apart
from bodies_lab.kinds import Kind, kinds
from starlette.testclient import TestClient

from fitq.records import EndpointRecord, ModelRecord, now, to_json
from fitq.scorer.client import inspect_model
from fitq.scorer.facts import ModelFacts
from fitq.scorer.golden import Golden
from fitq.scoring.app import create_app
from fitq.scoring.peers import Peers
from fitq.settings import Settings
from fitq.store.catalog import Catalog
from fitq.store.changes import note_change
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects

TOKEN = "scoring-test-token"
IRIS_NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
#: Loading scikit-learn once per version is the dear part of these tests; models are shared where they can be.
KEYS = ObjectKeys("default")


class Scoring:
    """The scoring program in this process, and a way to put models where it finds them."""

    def __init__(self, client: TestClient, objects: MemoryObjects, folder: Path) -> None:
        self.client = client
        self.objects = objects
        self._folder = folder
        self.service = client.app_state["service"]

    def register(self, name: str, model: object, sample_input: list[Any] | None = None) -> ModelRecord:
        """What the registry does: look into the file, keep bytes and record."""
        path = self._folder / f"{name}.joblib"
        joblib.dump(model, path)
        facts = looked_into(path, sample_input)
        return self.keep(name, path.read_bytes(), facts)

    def serve(self, kind: Kind) -> ModelRecord:
        """Keep a model of the bodies' lab as if it had been registered."""
        return self.keep(kind.name, kind.save(self._folder).read_bytes(), kind.facts())

    def keep(self, name: str, data: bytes, facts: Any, **changes: Any) -> ModelRecord:
        """Keep bytes as the next version of a name."""
        sha256 = hashlib.sha256(data).hexdigest()
        version = 1 + sum(1 for _ in self.objects.list(KEYS.model_versions(name)))
        told = {
            f: getattr(facts, f)
            for f in (
                "estimator",
                "methods",
                "default_method",
                "input_schema",
                "classes",
                "versions",
                "warnings",
            )
        }
        golden = getattr(facts, "golden", None)
        kept = to_json(golden) if isinstance(golden, Golden) else b""
        if kept:
            told["golden"] = hashlib.sha256(kept).hexdigest()
            self.objects.put(KEYS.model_golden(name, told["golden"]), kept)
        record = ModelRecord(
            name=name, version=version, created_at=now(), sha256=sha256, size_bytes=len(data),
            object_key=KEYS.model_file(name, sha256),
            **{"path": f"outputs/{name}.joblib", **told, **changes},
        )  # fmt: skip
        self.objects.put(record.object_key, data)
        self.objects.put(KEYS.model_version(name, version), to_json(record))
        note_change(self.objects, KEYS, name)
        return record

    def change(self, record: ModelRecord, **changes: Any) -> None:
        """Change what may change of a version, as the registry does."""
        changed = msgspec.structs.replace(record, **changes)
        self.objects.put(KEYS.model_version(record.name, record.version), to_json(changed))
        note_change(self.objects, KEYS, record.name)

    def alias(self, name: str, alias: str, version: int) -> None:
        about = Catalog(self.objects, "default").about(name)
        moved = msgspec.structs.replace(about, aliases={**about.aliases, alias: version})
        self.objects.put(KEYS.model_about(name), to_json(moved))
        note_change(self.objects, KEYS, name)

    def deploy(self, name: str, model: str, traffic: dict[str, int], **changes: Any) -> EndpointRecord:
        record = EndpointRecord(
            name=name, model=model, traffic=traffic, created_at=now(), updated_at=now(), **changes
        )
        self.objects.put(KEYS.endpoint(name), to_json(record))
        return record

    def post(self, path: str, body: object = None, *, token: str | None = TOKEN, **given: Any) -> Any:
        """POST with the token; `content` or `body`."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers.update(given.pop("headers", {}))
        if body is not None:
            given["json"] = body
        return self.client.post(path, headers=headers, **given)

    def get(self, path: str, *, token: str | None = TOKEN) -> Any:
        return self.client.get(path, headers={"authorization": f"Bearer {token}"} if token else {})

    def score(self, name: str, rows: object, **fields: Any) -> Any:
        """The answer to rows, which must be 200."""
        answer = self.post(f"/models/{name}/score", {"data": rows, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def cold(self, name: str, rows: object) -> Any:
        """An answer that waited for its model; None if something else had just been asked of that."""
        answer = self.post(f"/models/{name}/score", {"data": rows})
        assert answer.status_code == 200, answer.text
        return answer if "x-cold-start-ms" in answer.headers else None


_SEEN: dict[tuple[str, str], ModelFacts] = {}


def looked_into(path: Path, sample_input: list[Any] | None) -> ModelFacts:
    """`inspect_model`, once per file: starting a child and importing scikit-learn takes a second."""
    key = (hashlib.sha256(path.read_bytes()).hexdigest(), json.dumps(sample_input))
    if key not in _SEEN:
        _SEEN[key] = inspect_model(path, sample_input=sample_input, seconds=60)
    return _SEEN[key]


def running(folder: Path, **changes: Any) -> Iterator[Scoring]:
    objects = MemoryObjects()
    settings = Settings(token=TOKEN, **changes)
    cache = folder / "cache"
    cache.mkdir(exist_ok=True)
    app = create_app(settings, objects, Peers(cache))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Scoring(client, objects, folder)


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    """One program per test file, without models."""
    yield from running(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    """One program per test file, with a model of every kind."""
    for scoring in running(tmp_path_factory.mktemp("models")):
        for kind in kinds():
            scoring.serve(kind)
        yield scoring


def saved(model: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def assert_one_error_shape(answer: Any, status: int) -> dict[str, Any]:
    """Every answer that is not 2xx has this body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert {"message", "code", "hint", "request_id"} <= body.keys()
    assert body["message"]
    assert body["code"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def assert_explained(scoring: Scoring, answer: Any) -> dict[str, Any]:
    """A refusal says where, what it wants, what it got, and a command that scores with this very model."""
    told: dict[str, Any] = answer.json()
    assert {"expected", "got", "at", "curl"} <= told.keys(), told
    assert all(told[name] for name in ("expected", "got", "at", "message")), told
    asked = taken_apart(told["curl"], TOKEN)
    assert asked.verb == "POST", told
    sent_to = answer.request.url.path
    if "/service/" in sent_to:
        assert asked.path == sent_to
    else:
        name = answer.headers["x-fitq-model"].partition(":")[0]
        assert name in sent_to
        assert asked.path.startswith(f"/models/{name}/")
    scored = scoring.client.request(asked.verb, asked.path, headers=asked.headers, content=asked.content)
    assert scored.status_code == 200, (told, scored.text)
    assert scored.headers["x-fitq-model"] == answer.headers["x-fitq-model"]
    predictions = scored.json()
    assert isinstance(predictions, list), predictions
    assert predictions, told
    return told
