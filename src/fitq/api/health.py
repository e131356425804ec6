"""Whether the API lives, is ready, and what it counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from fitq import pools, restoring
from fitq.api.responses import backend_of, json_response
from fitq.errors import Unavailable


def healthz(request: Request) -> Response:  # noqa: ARG001
    """`GET /healthz`: the process answers."""
    return json_response({"status": "ok"})


def readyz(request: Request) -> Response:
    """`GET /readyz`: both stores answer; 503 names the one that does not.

    `redis` is "ok", or says how far it is while it is being filled again after it lost its data.
    """
    backend = backend_of(request)
    checks: dict[str, Callable[[], None]] = {
        "redis": backend.state.ping,
        "objects": lambda: backend.objects.ping(backend.keys.format()),
    }
    away = {}
    for name, check in checks.items():
        try:
            check()
        except Unavailable as exc:
            away[name] = exc.message
    if away:
        names = " and ".join(away)
        raise Unavailable(f"Not ready: {names} cannot be used.", away=away)
    redis = restoring.progress(backend) or "ok"
    return json_response({"status": "ready", "redis": redis, "objects": "ok"})


def metrics(request: Request) -> Response:
    """`GET /metrics`: pools, in Prometheus' format."""
    registry = CollectorRegistry()
    gauges = {
        field: Gauge(f"fitq_pool_{field}", f"{field} of the pool", ["pool"], registry=registry)
        for field in ("queued", "running", "workers")
    }
    for pool in pools.list_pools(backend_of(request)):
        for field, gauge in gauges.items():
            gauge.labels(pool.name).set(getattr(pool, field))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
