"""Every store passes the same tests: in memory, and on the real servers."""

from __future__ import annotations

import secrets

import pytest

from fitq.settings import Settings
from fitq.store.memory import MemoryObjects, MemoryState
from fitq.store.objects import S3Objects
from fitq.store.protocols import ObjectStore, StateStore
from fitq.store.redis_client import connect
from fitq.store.state import RedisState
from tests.conftest import Servers


@pytest.fixture(params=["memory", "valkey"])
def state(request: pytest.FixtureRequest) -> StateStore:
    if request.param == "memory":
        return MemoryState()
    servers: Servers = request.getfixturevalue("servers")
    return RedisState(connect(servers.redis.url), f"w{secrets.token_hex(6)}")


@pytest.fixture(params=["memory", "seaweedfs"])
def objects(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjects()
    settings: Settings = request.getfixturevalue("settings")
    store = S3Objects(
        settings.s3_url, settings.s3_access_key, settings.s3_secret_key, f"b{secrets.token_hex(6)}"
    )
    store.ensure_bucket()
    return store
