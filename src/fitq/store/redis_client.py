"""A connection to Redis or Valkey, for what is kept there and for the queue."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from fitq.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
_LOOK = "Look at FITQ_REDIS_URL of this program."


def translated(call: Callable[P, T]) -> Callable[P, T]:
    """Turn every way Redis can be away into `Unavailable`."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except redis.AuthenticationError as exc:
            raise Unavailable(f"Redis refuses our password: {exc}", hint=_LOOK) from exc
        except (redis.RedisError, OSError) as exc:
            raise Unavailable(f"Redis does not answer: {exc}") from exc

    return wrapped


def connect(url: str) -> redis.Redis:
    """A client with short patience: whoever may wait, waits around it.

    What is cut is tried again at once. What is not answered is not: each try would take as long again.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=3,
        socket_connect_timeout=2,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2, supported_errors=(redis.ConnectionError,)),
    )


__all__ = ["connect", "translated"]
