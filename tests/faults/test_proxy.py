"""The proxy's faults, as clients of the real servers meet them: what is planted is what arrives."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from time import monotonic
from urllib.parse import urlsplit

import pytest
import redis
from chaos_lab.proxy import (
    ALTERING,
    BROKEN,
    DEAF,
    FORBIDDEN,
    FORGETFUL,
    GONE,
    HALVES,
    SLOW,
    SLOW_DOWN,
    Fault,
    Kind,
)
from chaos_lab.proxy import Proxy as FaultyProxy

from fitq.backend import open_objects
from fitq.errors import Unavailable
from fitq.settings import Settings
from fitq.store.protocols import ObjectStore
from tests.conftest import Servers


@pytest.fixture
def to_redis(servers: Servers) -> Iterator[tuple[FaultyProxy, redis.Redis]]:
    with FaultyProxy(servers.redis.port) as proxy:
        client = redis.Redis(port=proxy.port, password=servers.redis.password, socket_timeout=1, retry=None)
        yield proxy, client
        client.close()


@pytest.fixture
def to_objects(settings: Settings) -> Iterator[tuple[FaultyProxy, ObjectStore]]:
    with FaultyProxy(urlsplit(settings.s3_url).port or 0) as proxy:
        objects = open_objects(dataclasses.replace(settings, s3_url=f"http://127.0.0.1:{proxy.port}"))
        objects.ensure_bucket()
        yield proxy, objects


def test_a_slow_redis_answers_late(to_redis: tuple[FaultyProxy, redis.Redis]) -> None:
    proxy, client = to_redis
    client.ping()
    with proxy.during(dataclasses.replace(SLOW, seconds=0.2)):
        began = monotonic()
        client.ping()
    assert monotonic() - began > 0.2
    assert proxy.hits == 1


@pytest.mark.parametrize(("fault", "arrives"), [(GONE, 0), (DEAF, 0), (FORGETFUL, 1)])
def test_a_command_that_got_no_answer_was_done_or_not(
    to_redis: tuple[FaultyProxy, redis.Redis], servers: Servers, fault: Fault, arrives: int
) -> None:
    proxy, client = to_redis
    client.delete("proxy-test")
    with proxy.during(fault), pytest.raises(redis.RedisError):
        client.incr("proxy-test")
    with redis.Redis.from_url(servers.redis.url) as direct:
        assert int(direct.get("proxy-test") or 0) == arrives  # type: ignore[arg-type]
    assert client.ping(), "afterwards everything is as before"


def test_a_connection_breaks_in_the_middle_of_an_answer(to_redis: tuple[FaultyProxy, redis.Redis]) -> None:
    proxy, client = to_redis
    client.set("proxy-test", "x" * 1000)
    for kind in (Kind.CUT, Kind.HALF_CLOSE):
        with proxy.during(Fault(kind=kind, after_bytes=500)), pytest.raises(redis.RedisError):
            client.get("proxy-test")
    assert client.get("proxy-test") == b"x" * 1000


def test_bytes_before_the_cut_do_arrive(servers: Servers) -> None:
    with (
        FaultyProxy(servers.redis.port) as proxy,
        proxy.during(Fault(kind=Kind.CUT, after_bytes=5)),
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as raw,
    ):
        raw.sendall(b"PING\r\n")
        received = b"".join(iter(lambda: raw.recv(100), b""))
    assert received == b"-NOAU", "the first five bytes of a refusal to talk without password"


def test_a_share_of_exchanges_is_hit(to_redis: tuple[FaultyProxy, redis.Redis]) -> None:
    proxy, client = to_redis
    client.ping()
    with proxy.during(Fault(kind=Kind.DELAY, share=0.5)):
        for _ in range(100):
            client.ping()
    assert 30 < proxy.hits < 70


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (SLOW_DOWN, "503|SlowDown"),
        (BROKEN, "500|InternalError"),
        (FORBIDDEN, "AccessDenied"),
        (GONE, "does not answer"),
        (HALVES, "does not answer|in the middle"),
        (FORGETFUL, "does not answer"),
    ],
)
def test_every_fault_of_the_object_store_is_said_to_be_one(
    to_objects: tuple[FaultyProxy, ObjectStore], fault: Fault, said: str
) -> None:
    proxy, objects = to_objects
    objects.put("proxy/test", b"x" * 100_000)
    with proxy.during(fault), pytest.raises(Unavailable, match=said):
        objects.get("proxy/test")
    if fault is not HALVES:  # nothing of its short answers is missing
        with proxy.during(fault), pytest.raises(Unavailable, match=said.replace("AccessDenied", "403|Acc")):
            objects.put("proxy/test", b"y" * 200_000)
    expected = b"y" if fault is FORGETFUL else b"x"
    assert (objects.get("proxy/test") or b"")[:1] == expected


@pytest.mark.parametrize("size_bytes", [1, 100, 300_000])
def test_one_bit_of_an_object_is_another_and_nothing_says_so(
    to_objects: tuple[FaultyProxy, ObjectStore], size_bytes: int
) -> None:
    proxy, objects = to_objects
    objects.put("proxy/test", b"x" * size_bytes)
    with proxy.during(ALTERING):
        altered = objects.get("proxy/test")
        assert altered is not None
    assert len(altered) == size_bytes
    assert altered.count(b"x") == size_bytes - 1
    assert objects.get("proxy/test") == b"x" * size_bytes


def test_a_conditional_put_whose_answer_was_lost_meets_itself(
    to_objects: tuple[FaultyProxy, ObjectStore],
) -> None:
    proxy, objects = to_objects
    objects.delete("proxy/once")
    with proxy.during(FORGETFUL), pytest.raises(Unavailable):
        objects.put_if_absent("proxy/once", b"first")
    assert not objects.put_if_absent("proxy/once", b"second")
    assert objects.get("proxy/once") == b"first"
