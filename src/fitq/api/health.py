"""Whether the API lives, is ready, and what it counts."""

from __future__ import annotations

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from fitq import pools, restoring
from fitq.api.responses import backend_of, json_response
from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.pinging import OK, Ping


async def healthz(request: Request) -> Response:  # noqa: ARG001
    """`GET /healthz`: the process answers, also while its threads wait for a store."""
    return json_response({"status": "ok"})


def pings_of(backend: Backend) -> dict[str, Ping]:
    """How each store is."""
    return {
        "redis": Ping(backend.state.ping),
        "objects": Ping(lambda: backend.objects.ping(backend.keys.format())),
    }


async def readyz(request: Request) -> Response:
    """`GET /readyz`: both stores answer; 503 names the one that does not, within seconds. Also 503 from the
    moment on that the program is told to end, while it answers what has begun.

    `redis` is "ok", or says how far it is while it is being filled again after it lost its data.
    """
    if request.app.state.is_stopping():
        raise Unavailable("Not ready: the program is stopping.", reason="stopping")
    pings: dict[str, Ping] = request.app.state.pings
    said = await asyncio.gather(*(ping.said() for ping in pings.values()))
    away = {name: answer for name, answer in zip(pings, said, strict=True) if answer != OK}
    if away:
        names = " and ".join(away)
        raise Unavailable(f"Not ready: {names} cannot be used.", away=away)
    redis = await asyncio.to_thread(restoring.progress, backend_of(request)) or OK
    return json_response({"status": "ready", "redis": redis, "objects": OK})


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
