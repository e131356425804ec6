"""Runs, models and endpoints as the rules make them, to be looked at."""

from __future__ import annotations

import hashlib

from fitq import attempts, claims, final_records, submission
from fitq.backend import Backend
from fitq.final_records import LOG_PATH
from fitq.records import (
    ArtifactRecord,
    Column,
    EndpointRecord,
    Failure,
    FunctionRecord,
    InputSchema,
    JsonScalar,
    MetricPoint,
    ModelRecord,
    Parameter,
    RunRecord,
    RunRequest,
    RunStatus,
    Versions,
    WorkerRecord,
    now,
    to_json,
)

IRIS = FunctionRecord(
    name="iris",
    pool="default",
    file="iris.py",
    description="Fit a support vector machine.",
    parameters=[
        Parameter(name="kernel", type="str", required=False, default="rbf"),
        Parameter(name="penalty", type="float", required=False, default=1.0),
    ],
)


def submitted(backend: Backend, display_name: str = "", **parameters: JsonScalar) -> RunRecord:
    """A queued run of `iris`."""
    backend.state.publish_functions("default", [IRIS])
    request = RunRequest(
        experiment="flowers", function="iris", parameters=parameters, display_name=display_name
    )
    return submission.submit(backend, request)


def running(backend: Backend, run: RunRecord) -> RunRecord:
    """The run as a worker holds it while user code runs."""
    held = claims.claim(backend, run.id, "worker-1")
    assert held is not None
    return attempts.change(backend, held, lambda r: attempts.step(r, RunStatus.RUNNING))


def ended(
    backend: Backend,
    held: RunRecord,
    *,
    log: bytes = b"",
    files: dict[str, bytes] | None = None,
    metrics: list[MetricPoint] | None = None,
    failure: Failure | None = None,
) -> RunRecord:
    """The run after its end, with what it left behind."""
    kept = {LOG_PATH: log, **(files or {})}
    for path, data in kept.items():
        backend.objects.put(backend.keys.attempt_file(held, path), data)
    artifacts = [
        ArtifactRecord(path=p, size_bytes=len(d), sha256=hashlib.sha256(d).hexdigest())
        for p, d in kept.items()
    ]
    held = attempts.change(backend, held, lambda r: attempts.step(r, RunStatus.FINALIZING))
    status = RunStatus.FAILED if failure else RunStatus.COMPLETED
    return final_records.finish(backend, held, status, failure=failure, artifacts=artifacts, metrics=metrics)


def point(name: str, value: object, step: int | None = None) -> MetricPoint:
    return MetricPoint(name=name, value=value, step=step, at=now())  # type: ignore[arg-type]  # any JSON


def registered(backend: Backend, name: str = "sklearn-iris", version: int = 1, **changes: object) -> None:
    """A model version, as registration leaves it in the object store."""
    values: dict[str, object] = {
        "name": name,
        "version": version,
        "created_at": now(),
        "path": "outputs/model.joblib",
        "sha256": "ab" * 32,
        "size_bytes": 2048,
        "object_key": "x",
        "framework_version": "0.19.1",
        "versions": Versions(python="3.11.2", packages={"scikit-learn": "1.9.1"}),
        "estimator": "SVC",
        "methods": ["predict"],
        "input_schema": InputSchema(
            columns=[Column(kind="number", name="sepal length"), Column(kind="number", name="sepal width")],
            example=[[5.1, 3.5]],
            source="sample_input",
        ),
        **changes,
    }
    record = ModelRecord(**values)  # type: ignore[arg-type]  # a test's own choice of fields
    backend.objects.put_if_absent(backend.keys.model_version(name, version), to_json(record))


def deployed(backend: Backend, name: str = "iris-service", model: str = "sklearn-iris") -> None:
    record = EndpointRecord(
        name=name, model=model, traffic={"1": 90, "2": 10}, created_at=now(), updated_at=now()
    )
    backend.objects.put(backend.keys.endpoint(name), to_json(record))


def working(backend: Backend, pool: str = "default", runs: list[str] | None = None) -> None:
    backend.state.report_worker(
        WorkerRecord(
            id=f"worker-{pool}", pool=pool, slots=1, seen_at=now(), started_at=now(), runs=runs or []
        )
    )
