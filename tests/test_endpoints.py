"""Rules of endpoints and of the versions behind them, without any server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fitq import endpoints
from fitq.backend import Backend
from fitq.errors import InvalidRequest, NotFound, Outdated
from fitq.model_settings import set_alias
from fitq.records import EndpointRequest
from fitq.revisions import ABSENT
from tests.conftest import keep_model


@pytest.fixture
def backend(memory_backend: Backend) -> Backend:
    """With two versions of a model, of which the first is `prod`."""
    keep_model(memory_backend, "iris", 1, 2)
    set_alias(memory_backend, "iris", "prod", 1)
    return memory_backend


def traffic(backend: Backend, **shares: int) -> dict[str, int]:
    asked = {name.removeprefix("v"): share for name, share in shares.items()}
    return endpoints.deploy(backend, "flowers", EndpointRequest(model="iris", traffic=asked)).traffic


def test_without_traffic_the_newest_version_gets_everything(backend: Backend) -> None:
    assert endpoints.deploy(backend, "flowers", EndpointRequest(model="iris")).traffic == {"2": 100}


def test_traffic_by_alias_is_kept_by_number(backend: Backend) -> None:
    assert traffic(backend, prod=90, v2=10) == {"1": 90, "2": 10}


def test_a_version_named_twice_gets_both_shares(backend: Backend) -> None:
    assert traffic(backend, v1=40, prod=50, v2=10) == {"1": 90, "2": 10}


@pytest.mark.parametrize("shares", [{"v1": 90}, {"v1": 150, "v2": -50}, {"v1": 50, "v2": 51}])
def test_a_refused_change_leaves_the_endpoint_as_it_was(backend: Backend, shares: dict[str, int]) -> None:
    traffic(backend, v1=100)
    with pytest.raises(InvalidRequest, match="100"):
        traffic(backend, **shares)
    assert backend.catalog.endpoint("flowers").traffic == {"1": 100}


def test_replacing_keeps_the_keys_and_rotating_changes_one(backend: Backend) -> None:
    traffic(backend, v1=100)
    before = endpoints.endpoint_keys(backend, "flowers")
    traffic(backend, v2=100)
    assert endpoints.endpoint_keys(backend, "flowers") == before
    endpoints.rotate_key(backend, "flowers", "primary")
    after = endpoints.endpoint_keys(backend, "flowers")
    assert after["primary"] != before["primary"]
    assert after["secondary"] == before["secondary"]


def test_an_endpoint_made_anew_does_not_honour_the_old_keys(backend: Backend) -> None:
    traffic(backend, v1=100)
    before = endpoints.endpoint_keys(backend, "flowers")
    endpoints.remove_endpoint(backend, "flowers")
    traffic(backend, v1=100)
    assert not set(before.values()) & set(endpoints.endpoint_keys(backend, "flowers").values())


@pytest.mark.parametrize("version", ["²", "٣", "9" * 5000, "-1", "1.0", " 1", ""])
def test_what_is_no_version_is_refused_in_a_sentence(backend: Backend, version: str) -> None:
    with pytest.raises((InvalidRequest, NotFound)):
        backend.catalog.model("iris", version)


def test_a_version_is_looked_for_under_a_valid_name_only(backend: Backend) -> None:
    with pytest.raises(InvalidRequest):
        backend.catalog.model("../models/iris", "1")


def test_keys_rotated_at_once_are_all_rotated(backend: Backend) -> None:
    traffic(backend, v1=100)
    before = backend.catalog.endpoint("flowers").key_generations["primary"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: endpoints.rotate_key(backend, "flowers", "primary"), range(8)))
    assert backend.catalog.endpoint("flowers").key_generations["primary"] == before + 8


def test_a_deploy_beside_a_rotation_loses_neither(backend: Backend) -> None:
    traffic(backend, v1=100)
    before = backend.catalog.endpoint("flowers").key_generations["primary"]
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(traffic, backend, v2=100) for _ in range(4)]
        done += [threads.submit(endpoints.rotate_key, backend, "flowers", "primary") for _ in range(4)]  # type: ignore[arg-type]
        for one in done:
            one.result()
    after = backend.catalog.endpoint("flowers")
    assert (after.traffic, after.key_generations["primary"]) == ({"2": 100}, before + 4)


def test_only_the_revision_that_was_read_is_replaced(backend: Backend) -> None:
    traffic(backend, v1=100)
    read = endpoints.endpoint_revision(backend, "flowers")
    traffic(backend, v2=100)
    with pytest.raises(Outdated, match="'flowers' was changed"):
        endpoints.deploy(backend, "flowers", EndpointRequest(model="iris"), expected=read)
    with pytest.raises(Outdated):
        endpoints.remove_endpoint(backend, "flowers", expected=read)
    with pytest.raises(Outdated, match="exists already"):
        endpoints.deploy(backend, "flowers", EndpointRequest(model="iris"), expected=ABSENT)
    assert backend.catalog.endpoint("flowers").traffic == {"2": 100}
    endpoints.remove_endpoint(backend, "flowers", expected=endpoints.endpoint_revision(backend, "flowers"))
    endpoints.remove_endpoint(backend, "flowers")
