"""A store that is away is `Unavailable`, quickly, and never another exception."""

from __future__ import annotations

import pytest

from fitq.errors import Unavailable
from fitq.local.ports import free_ports
from fitq.records import RunStatus
from fitq.settings import Settings
from fitq.store.objects import S3Objects
from fitq.store.redis_client import connect
from fitq.store.state import RedisState
from tests.conftest import Servers


def test_redis_that_is_not_there() -> None:
    state = RedisState(connect(f"redis://127.0.0.1:{free_ports(1)[0]}/0"), "w")
    for call in (state.ping, lambda: state.get_run("r"), lambda: state.list_runs(status=RunStatus.QUEUED)):
        with pytest.raises(Unavailable, match="Redis does not answer"):
            call()


def test_redis_with_another_password(servers: Servers) -> None:
    url = servers.redis.url.replace(servers.redis.password, "wrong")
    with pytest.raises(Unavailable) as caught:
        RedisState(connect(url), "w").ping()
    assert "FITQ_REDIS_URL" in caught.value.hint


def test_an_object_store_that_is_not_there() -> None:
    objects = S3Objects(f"http://127.0.0.1:{free_ports(1)[0]}", "k", "s", "bucket")
    for call in (
        lambda: objects.ping("k"),
        objects.ensure_bucket,
        lambda: objects.get("k"),
        lambda: objects.put("k", b""),
        lambda: objects.put_if_absent("k", b""),
        lambda: list(objects.list("p/")),
    ):
        with pytest.raises(Unavailable, match="object store does not answer"):
            call()


def test_an_object_store_that_refuses_our_key(settings: Settings) -> None:
    objects = S3Objects(settings.s3_url, settings.s3_access_key, "wrong", settings.bucket)
    with pytest.raises(Unavailable) as caught:
        objects.get("k")
    assert "FITQ_S3_SECRET_KEY" in caught.value.hint


def test_a_missing_bucket_is_named(settings: Settings) -> None:
    objects = S3Objects(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, "not-there")
    with pytest.raises(Unavailable, match="not-there"):
        objects.ping("k")
