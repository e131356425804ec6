"""Rules of endpoints: stable addresses for chosen versions of a model, with keys. Reading them is
`store.catalog`; what answers behind them is the scoring program."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec

from fitq.backend import Backend
from fitq.credentials import KEY_NAMES, endpoint_key
from fitq.errors import InvalidRequest
from fitq.logs import get_logger
from fitq.names import check_name
from fitq.records import EndpointRecord, EndpointRequest, ModelRecord, from_kept_json, now, to_json
from fitq.revisions import check_revision, revise, revision_of
from fitq.store.catalog import Catalog

log = get_logger(__name__)


def deploy(
    backend: Backend, name: str, request: EndpointRequest, *, expected: str | None = None
) -> EndpointRecord:
    """Create or replace an endpoint. Its keys survive replacement.

    Args:
        expected: the only revision that may be replaced; None for any.

    Raises:
        InvalidRequest: traffic that is not 100 % in all, an unknown auth or method.
        NotFound: the model or a version of it does not exist.
        Outdated: the endpoint has another revision.
    """
    traffic = check_endpoint(backend, name, request)
    backend.objects.put_if_absent(backend.keys.endpoint_secret(), secrets.token_bytes(32))

    def replaced(before: EndpointRecord | None) -> EndpointRecord:
        at = now()
        return EndpointRecord(
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

    endpoint = _revise(backend, name, replaced, expected)
    log.info("endpoint_deployed", endpoint=name, model=request.model, traffic=endpoint.traffic)
    return endpoint


def check_endpoint(backend: Backend, name: str, request: EndpointRequest) -> dict[str, int]:
    """Refuse what `deploy` refuses; returns the percents by version number."""
    check_name("endpoint", name)
    if request.auth not in ("key", "token", "none"):
        raise InvalidRequest(
            f"auth is {request.auth!r}.", at="auth", hint="One of: key, token, none.", got=request.auth
        )
    return _shares(backend.catalog, request)


def _revise(
    backend: Backend,
    name: str,
    update: Callable[[EndpointRecord | None], EndpointRecord],
    expected: str | None = None,
) -> EndpointRecord:
    """Change one endpoint's record over exactly the record that was read."""

    def written(data: bytes | None) -> bytes:
        return to_json(update(None if data is None else from_kept_json(data, EndpointRecord)))

    what = f"Endpoint {name!r}"
    data = revise(backend.objects, backend.keys.endpoint(name), written, what=what, expected=expected)
    return from_kept_json(data, EndpointRecord)


def endpoint_revision(backend: Backend, name: str) -> str:
    """The revision that stands there now; ABSENT if none does."""
    return revision_of(backend.objects.get(backend.keys.endpoint(check_name("endpoint", name))))


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
    if not model.is_scored:
        raise InvalidRequest(f"Model {model.id} cannot be scored: {' '.join(model.warnings)}", at="model")
    if method is not None and method not in model.methods:
        raise InvalidRequest(
            f"Model {model.id} has no method {method!r}.",
            at="method",
            hint=f"It has: {', '.join(model.methods)}.",
        )


def remove_endpoint(backend: Backend, name: str, *, expected: str | None = None) -> None:
    """Take an endpoint away, if it is there; the model stays.

    Raises:
        Outdated: it has another revision than the expected one.
    """
    check_revision(f"Endpoint {name!r}", endpoint_revision(backend, name), expected)
    backend.objects.delete(backend.keys.endpoint(name))


def endpoint_keys(backend: Backend, name: str) -> dict[str, str]:
    """The endpoint's primary and secondary key."""
    models = backend.catalog
    endpoint = models.endpoint(name)
    secret = models.endpoint_secret() or b""
    return {which: endpoint_key(secret, name, which, endpoint.key_generations[which]) for which in KEY_NAMES}


def rotate_key(backend: Backend, name: str, which: str) -> EndpointRecord:
    """Make a new primary or secondary key; the other one goes on working."""
    if which not in KEY_NAMES:
        raise InvalidRequest(f"There is no key {which!r}.", at="key", hint="primary or secondary.")

    def rotated(before: EndpointRecord | None) -> EndpointRecord:
        endpoint = before or backend.catalog.endpoint(name)
        generations = {**endpoint.key_generations, which: endpoint.key_generations[which] + 1}
        return msgspec.structs.replace(endpoint, key_generations=generations, updated_at=now())

    check_name("endpoint", name)
    return _revise(backend, name, rotated)
