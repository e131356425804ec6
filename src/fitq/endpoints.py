"""Rules of endpoints: stable addresses for chosen versions of a model, with keys. Reading them is
`store.catalog`; what answers behind them is the scoring program."""

from __future__ import annotations

import secrets

import msgspec

from fitq.backend import Backend
from fitq.credentials import KEY_NAMES, endpoint_key
from fitq.errors import InvalidRequest, NotFound
from fitq.logs import get_logger
from fitq.names import check_name
from fitq.records import EndpointRecord, EndpointRequest, ModelRecord, now, to_json
from fitq.registry import catalog
from fitq.store.catalog import Catalog

log = get_logger(__name__)


def deploy(backend: Backend, name: str, request: EndpointRequest) -> EndpointRecord:
    """Create or replace an endpoint. Its keys survive replacement.

    Raises:
        InvalidRequest: traffic that is not 100 % in all, an unknown auth or method.
        NotFound: the model or a version of it does not exist.
    """
    check_name("endpoint", name)
    models = catalog(backend)
    traffic = _shares(models, request)
    if request.auth not in ("key", "token", "none"):
        raise InvalidRequest(
            f"auth is {request.auth!r}.", at="auth", hint="One of: key, token, none.", got=request.auth
        )
    backend.objects.put_if_absent(backend.keys.endpoint_secret(), secrets.token_bytes(32))
    before = _existing(models, name)
    at = now()
    endpoint = EndpointRecord(
        name=name,
        model=request.model,
        traffic=traffic,
        created_at=before.created_at if before else at,
        updated_at=at,
        auth=request.auth,
        method=request.method,
        description=request.description,
        tags=request.tags,
        key_generations=before.key_generations if before else _first_generations(),
        workspace=backend.workspace,
    )
    backend.objects.put(backend.keys.endpoint(name), to_json(endpoint))
    log.info("endpoint_deployed", endpoint=name, model=request.model, traffic=endpoint.traffic)
    return endpoint


def _shares(models: Catalog, request: EndpointRequest) -> dict[str, int]:
    """Percents by version number. Two names of one version, such as its alias, share what both get."""
    newest = models.model(request.model)
    asked = request.traffic or {str(newest.version): 100}
    _check_traffic(asked)
    shares: dict[str, int] = {}
    for name, share in asked.items():
        model = models.model(request.model, name)
        _check_scorable(model, request.method)
        shares[str(model.version)] = shares.get(str(model.version), 0) + share
    return shares


def _first_generations() -> dict[str, int]:
    # Random, so that an endpoint made anew under an old name does not honour the old keys.
    return {which: secrets.randbelow(1 << 40) for which in KEY_NAMES}


def _check_traffic(traffic: dict[str, int]) -> None:
    if sum(traffic.values()) != 100 or any(share < 0 for share in traffic.values()):
        raise InvalidRequest(
            f"Traffic must be percents that make 100; these make {sum(traffic.values())}.",
            at="traffic",
            hint='For example {"3": 90, "4": 10}.',
            got=traffic,
        )


def _check_scorable(model: ModelRecord, method: str | None) -> None:
    if model.input_schema is None:
        raise InvalidRequest(f"Model {model.id} cannot be scored: {' '.join(model.warnings)}", at="model")
    if method is not None and method not in model.methods:
        raise InvalidRequest(
            f"Model {model.id} has no method {method!r}.",
            at="method",
            hint=f"It has: {', '.join(model.methods)}.",
        )


def _existing(models: Catalog, name: str) -> EndpointRecord | None:
    try:
        return models.endpoint(name)
    except NotFound:
        return None


def remove_endpoint(backend: Backend, name: str) -> None:
    """Take an endpoint away; the model stays."""
    catalog(backend).endpoint(name)
    backend.objects.delete(backend.keys.endpoint(name))


def endpoint_keys(backend: Backend, name: str) -> dict[str, str]:
    """The endpoint's primary and secondary key."""
    models = catalog(backend)
    endpoint = models.endpoint(name)
    secret = models.endpoint_secret() or b""
    return {which: endpoint_key(secret, name, which, endpoint.key_generations[which]) for which in KEY_NAMES}


def rotate_key(backend: Backend, name: str, which: str) -> EndpointRecord:
    """Make a new primary or secondary key; the other one goes on working."""
    if which not in KEY_NAMES:
        raise InvalidRequest(f"There is no key {which!r}.", at="key", hint="primary or secondary.")
    endpoint = catalog(backend).endpoint(name)
    generations = {**endpoint.key_generations, which: endpoint.key_generations[which] + 1}
    rotated = msgspec.structs.replace(endpoint, key_generations=generations, updated_at=now())
    backend.objects.put(backend.keys.endpoint(name), to_json(rotated))
    return rotated
