"""The control plane: one table of routes, and how an app is put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route

from fitq.api import (
    data,
    declared,
    endpoints,
    environments,
    functions,
    health,
    models,
    openapi,
    pools,
    run_logs,
    runs,
    versions,
)
from fitq.api.auth import Gate
from fitq.api.responses import on_error
from fitq.backend import Backend
from fitq.environments.opening import open_environments
from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger
from fitq.scorer.confinement import confinement
from fitq.settings import Settings

log = get_logger(__name__)

ROUTES: list[BaseRoute] = [
    Route("/v1/snapshots", runs.create_snapshot, methods=["POST"]),
    Route("/v1/runs", runs.create_run, methods=["POST"]),
    Route("/v1/runs", runs.list_runs),
    Route("/v1/runs/{run}", runs.get_run),
    Route("/v1/runs/{run}/cancel", runs.cancel_run, methods=["POST"]),
    Route("/v1/runs/{run}/logs", run_logs.get_logs),
    Route("/v1/runs/{run}/metrics", runs.get_metrics),
    Route("/v1/runs/{run}/artifacts", runs.list_artifacts),
    Route("/v1/runs/{run}/artifacts/{path:path}", runs.get_artifact),
    Route("/v1/runs/{run}/snapshot", runs.get_snapshot),
    Route("/v1/experiments", runs.list_experiments),
    Route("/v1/functions", functions.list_functions),
    Route("/v1/functions/{function}", functions.get_function),
    Route("/v1/functions/{function}", functions.put_function, methods=["PUT"]),
    Route("/v1/functions/{function}", functions.delete_function, methods=["DELETE"]),
    Route("/v1/pools", pools.list_pools),
    Route("/v1/pools/{pool}", pools.get_pool),
    Route("/v1/pools/{pool}", pools.put_pool, methods=["PUT"]),
    Route("/v1/pools/{pool}", pools.delete_pool, methods=["DELETE"]),
    Route("/v1/models", models.register, methods=["POST"]),
    Route("/v1/models", models.list_models),
    Route("/v1/approvals/{sha256}", models.approve_file, methods=["PUT"]),
    Route("/v1/models/{model}", models.get_model),
    Route("/v1/models/{model}", models.put_model, methods=["PUT"]),
    Route("/v1/models/{model}", models.delete_model, methods=["DELETE"]),
    Route("/v1/models/{model}/versions/{version}", models.get_version),
    Route("/v1/models/{model}/versions/{version}", models.patch_version, methods=["PATCH"]),
    Route("/v1/models/{model}/versions/{version}", models.delete_version, methods=["DELETE"]),
    Route("/v1/models/{model}/versions/{version}/file", models.get_file),
    Route("/v1/models/{model}/aliases/{alias}", models.get_alias),
    Route("/v1/models/{model}/aliases/{alias}", models.put_alias, methods=["PUT"]),
    Route("/v1/models/{model}/aliases/{alias}", models.delete_alias, methods=["DELETE"]),
    Route("/v1/environments", environments.build_environment, methods=["POST"]),
    Route("/v1/environments", environments.list_environments),
    Route("/v1/environments/{environment}", environments.get_environment),
    Route("/v1/environments/{environment}", environments.put_environment, methods=["PUT"]),
    Route("/v1/environments/{environment}", environments.delete_environment, methods=["DELETE"]),
    Route("/v1/environments/{environment}/log", environments.get_environment_log),
    Route("/v1/data", data.add_data, methods=["POST"]),
    Route("/v1/data", data.list_data),
    Route("/v1/data/{data}", data.get_data),
    Route("/v1/data/{data}", data.put_data, methods=["PUT"]),
    Route("/v1/data/{data}", data.delete_data, methods=["DELETE"]),
    Route("/v1/data/{data}/versions/{version}", data.get_data_version),
    Route("/v1/data/{data}/versions/{version}/files/{path:path}", data.get_data_file),
    Route("/v1/data-contents", data.keep_data_content, methods=["POST"]),
    Route("/v1/data-parts/missing", data.missing_data_parts, methods=["POST"]),
    Route("/v1/data-parts/{sha256}", data.put_data_part, methods=["PUT"]),
    Route("/v1/endpoints", endpoints.list_endpoints),
    Route("/v1/endpoints/{endpoint}", endpoints.put_endpoint, methods=["PUT"]),
    Route("/v1/endpoints/{endpoint}", endpoints.get_endpoint),
    Route("/v1/endpoints/{endpoint}", endpoints.delete_endpoint, methods=["DELETE"]),
    Route("/v1/endpoints/{endpoint}/keys", endpoints.get_keys),
    Route("/v1/endpoints/{endpoint}/keys/{which}/regenerate", endpoints.regenerate_key, methods=["POST"]),
    Route("/v1/plan", declared.plan, methods=["POST"]),
    Route("/v1/apply", declared.apply, methods=["POST"]),
    Route("/v1/documents", declared.export),
    Route("/v1/documents/schema", declared.get_schema),
    Route("/v1/versions", versions.get_versions),
    Route("/healthz", health.healthz),
    Route("/readyz", health.readyz),
    Route("/metrics", health.metrics),
    Route("/openapi.json", openapi.document),
    Route("/docs", openapi.page),
]


def create_app(backend: Backend, settings: Settings, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """The API on its stores; `pages` are the dashboard's, if there is to be one."""
    app = Starlette(
        routes=[*ROUTES, *pages],
        middleware=[Middleware(Gate, settings=settings)],
        exception_handlers=dict.fromkeys((FitqError, HTTPException, ClientDisconnect, Exception), on_error),
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False  # an unknown address is a 404 with the one body
    app.state.backend = backend
    app.state.pings = health.pings_of(backend)
    app.state.settings = settings
    app.state.is_stopping = lambda: False  # whoever serves it knows better
    app.state.environments = open_environments(settings, backend.objects)
    app.state.confinement = confinement(settings)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        if not await _prepared(app.state.backend):
            tasks.start_soon(_prepare_later, app.state.backend)
        yield
        tasks.cancel_scope.cancel()


async def _prepare_later(backend: Backend) -> None:
    """A store was away at the start: meanwhile /readyz says so and requests answer 503."""
    while not await _prepared(backend):
        await anyio.sleep(1)


async def _prepared(backend: Backend) -> bool:
    try:
        await run_in_threadpool(backend.objects.ensure_bucket)
    except Unavailable as exc:
        log.warning("store_unavailable_at_start", error=exc.message)
        return False
    return True
