"""The scoring program: one table of routes, and how an app is put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from fitq.errors import NotFound
from fitq.scoring import protocol
from fitq.scoring.about import (
    describe_model,
    get_swagger,
    healthy,
    healthz,
    metrics,
    model_ready,
    own_metrics,
    readyz,
    version,
)
from fitq.scoring.access import a_model, a_token, an_endpoint, the_model
from fitq.scoring.answers import send_answer
from fitq.scoring.call import Call
from fitq.scoring.door import Door, refusal
from fitq.scoring.peers import OWN_METRICS, Peers
from fitq.scoring.score import infer, invocations, predict_v1, score
from fitq.scoring.service import Service
from fitq.scoring.target import reading
from fitq.settings import Settings
from fitq.store.protocols import ObjectStore

ROUTES = [
    Route("/models/{model}/score", Door(score, locate=a_model, verbs="POST", of_scripts="GET")),
    Route(
        "/models/{model}/versions/{version}/score",
        Door(score, locate=a_model, verbs="POST", of_scripts="GET"),
    ),
    Route(
        "/api/v1/service/{endpoint}/score", Door(score, locate=an_endpoint, verbs="POST", of_scripts="GET")
    ),
    Route("/models/{model}", Door(describe_model, locate=a_model)),
    Route("/models/{model}/versions/{version}", Door(describe_model, locate=a_model)),
    Route("/models/{model}/swagger.json", Door(get_swagger, locate=a_model)),
    Route("/models/{model}/versions/{version}/swagger.json", Door(get_swagger, locate=a_model)),
    Route("/api/v1/service/{endpoint}/swagger.json", Door(get_swagger, locate=an_endpoint)),
    # KServe V1
    Route("/v1/models/{model}:predict", Door(predict_v1, locate=a_model, verbs="POST")),
    Route("/v1/models/{model}", Door(model_ready, locate=a_model)),
    # Open Inference Protocol
    Route("/v2", Door(protocol.server, locate=a_token)),
    Route("/v2/health/live", Door(protocol.live, locate=a_token)),
    Route("/v2/health/ready", Door(protocol.ready, locate=a_token)),
    Route("/v2/models/{model}", Door(protocol.model, locate=a_model)),
    Route("/v2/models/{model}/ready", Door(model_ready, locate=a_model)),
    Route("/v2/models/{model}/infer", Door(infer, locate=a_model, verbs="POST")),
    Route("/v2/models/{model}/versions/{version}", Door(protocol.model, locate=a_model)),
    Route("/v2/models/{model}/versions/{version}/ready", Door(model_ready, locate=a_model)),
    Route("/v2/models/{model}/versions/{version}/infer", Door(infer, locate=a_model, verbs="POST")),
    # MLflow and SageMaker
    Route("/models/{model}/invocations", Door(invocations, locate=a_model, verbs="POST")),
    Route("/models/{model}/ping", Door(model_ready, locate=a_model)),
    Route("/models/{model}/health", Door(model_ready, locate=a_model)),
    Route("/models/{model}/version", Door(version, locate=a_model)),
    Route("/invocations", Door(invocations, locate=the_model, verbs="POST")),
    Route("/ping", Door(model_ready, locate=the_model)),
    Route("/health", Door(model_ready, locate=the_model)),
    Route("/version", Door(version, locate=the_model)),
    # for everyone
    Route("/", Door(healthy)),
    Route("/healthz", Door(healthz)),
    Route("/readyz", Door(readyz)),
    Route("/metrics", Door(metrics)),
    Route(OWN_METRICS, Door(own_metrics)),
]


def create_app(
    settings: Settings,
    objects: ObjectStore,
    peers: Peers,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Router:
    """The scoring app. Its lifespan starts the scorer child and ends it, leaving no process behind.

    A router alone: what Starlette puts around one, every `Door` does itself.

    Args:
        peers: the processes that answer at the same port.
        is_stopping: whoever serves it knows whether it was told to end.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, Service]]:
        service = Service(settings, objects, peers, is_stopping)
        async with service.running():
            yield {"service": service}

    return Routes(ROUTES, redirect_slashes=False, default=_not_found, lifespan=lifespan)


class Routes(Router):
    """Starlette's router, asked once for each address of a model that was scored."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["state"]["service"].doors.get(scope["path"]) if scope["type"] == "http" else None
        if known is None:
            await super().__call__(scope, receive, send)
        else:
            door, scope["path_params"] = known
            await door(scope, receive, send)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The one error body also for addresses that do not exist."""
    if scope["type"] != "http":
        return
    call = Call(scope, receive)
    error = NotFound(
        f"There is nothing at {call.address[:200]!r}.",
        hint="Models answer at /models/NAME/score, endpoints at /api/v1/service/NAME/score.",
        expected="/models/NAME/score or /api/v1/service/NAME/score",
        got=call.address[:200],
        at="path",
        curl=reading(f"{call.service.settings.url}/v1/models"),
    )
    await send_answer(scope, send, call.request_id, refusal(call, error))
