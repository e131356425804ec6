"""Who may ask, and for what: the token of the platform, or a key of an endpoint."""

from __future__ import annotations

import asyncio
import hmac
import random

from fitq.credentials import KEY_NAMES, bearer, endpoint_key, same_secret
from fitq.errors import FitqError, InvalidRequest, NotFound, Unauthorized
from fitq.names import check_name
from fitq.records import EndpointRecord
from fitq.scoring.call import Call
from fitq.scoring.target import Target, reading


async def a_model(call: Call) -> None:
    """Locate the model that the path names. Needs the platform's token.

    Raises:
        Unauthorized, NotFound, InvalidRequest, Unavailable.
    """
    require_token(call)
    name, version = call.path["model"], call.path.get("version", "")
    path = f"/models/{name}" + (f"/versions/{version}" if version else "") + "/score"
    call.target = await _target(call, name, version or "latest", path)


async def the_model(call: Call) -> None:
    """Locate the one model of a process that serves one: FITQ_SCORING_MODEL, else the only one registered.

    Raises:
        Unauthorized, InvalidRequest, Unavailable.
        NotFound: there is none, or more than one; `models` lists them.
    """
    require_token(call)
    name, _, version = call.service.settings.scoring_model.partition(":")
    if not name:
        names = await asyncio.to_thread(call.service.catalog.model_names)
        if len(names) != 1:
            exc = NotFound(
                f"{call.address} is for a process that serves one model; here are {len(names) or 'none'}.",
                hint=f"Send it to /models/NAME{call.address}, or set FITQ_SCORING_MODEL.",
                models=names[:20],
            )
            raise _helpful(exc, call, call.address, "models")
        name = names[0]
    call.target = await _target(call, name, version or "latest", f"/models/{name}/score")


async def an_endpoint(call: Call) -> None:
    """Locate the version that an endpoint's traffic gives this request to. Needs one of its keys."""
    name = call.path["endpoint"]
    try:
        endpoint = await call.service.endpoints.get(check_name("endpoint", name))
    except (NotFound, InvalidRequest) as exc:
        require_token(call)  # who may not call an endpoint does not learn which exist
        raise _helpful(exc, call, name, "endpoints") from exc
    if not await _opens(call, endpoint):
        raise _unauthorized(call)
    version = random.choices(list(endpoint.traffic), list(endpoint.traffic.values()))[0]
    path = f"/api/v1/service/{name}/score"
    call.target = await _target(call, endpoint.model, version, path, endpoint)


async def a_token(call: Call) -> None:
    """Nothing to locate, but not for everyone."""
    require_token(call)


def require_token(call: Call) -> None:
    """Let only the platform's token pass."""
    if hmac.compare_digest(call.authorization, call.service.usual_authorization):
        return
    if not same_secret(bearer(call.header("authorization")), call.service.settings.token):
        raise _unauthorized(call)


async def _target(
    call: Call, name: str, version: str, path: str, endpoint: EndpointRecord | None = None
) -> Target:
    try:
        served, seconds = await call.service.models.find(name, version)
    except (NotFound, InvalidRequest) as exc:
        raise _helpful(exc, call, f"{name}:{version}", "models") from exc
    if endpoint is None:
        return Target(served, path, cold_seconds=seconds)
    return Target(served, path, endpoint.method, seconds, endpoint.name)


async def _opens(call: Call, endpoint: EndpointRecord) -> bool:
    """Whether the caller's key, or the platform's token, opens an endpoint. In constant time per key."""
    given = bearer(call.header("authorization"))
    if endpoint.auth == "none" or same_secret(given, call.service.settings.token):
        return True
    secret = await call.service.secrets.get("") if endpoint.auth == "key" and given else b""
    keys = [
        endpoint_key(secret, endpoint.name, which, endpoint.key_generations.get(which, 1))
        for which in (KEY_NAMES if secret else ())
    ]
    return any([same_secret(given, key) for key in keys])  # noqa: C419  # compare all, whichever fits


def _unauthorized(call: Call) -> Unauthorized:
    given = call.header("authorization")
    return Unauthorized(
        "A valid token is needed." if not given else "This token or key is not valid here.",
        expected="Authorization: Bearer <token>",
        got="another token" if bearer(given) else "no bearer token",
        at="header authorization",
        curl=reading(_readable(call)),
    )


def _readable(call: Call) -> str:
    """An address beside the one that was called which a valid token can simply read."""
    address = call.address.removesuffix(":predict").removesuffix("/infer")
    if address.startswith("/models/"):
        address = "/".join(address.split("/")[:3])
    elif address.endswith("/score"):
        address = f"{address.removesuffix('score')}swagger.json"
    elif address == "/invocations":
        address = "/ping"
    return f"{call.service.settings.scoring_url}{address}"


def _helpful(exc: FitqError, call: Call, got: str, noun: str) -> FitqError:
    known = ", ".join(map(str, exc.data.get(noun, []))) or f"one of the registered {noun}"
    url = f"{call.service.settings.url}/v1/{noun}"
    listing = reading(url)
    for name, value in {"expected": known, "got": got, "at": "path", "curl": listing}.items():
        exc.data.setdefault(name, value)
    return exc
