"""The stores and the queue of one workspace, opened once by a program and handed down."""

from __future__ import annotations

from dataclasses import dataclass

from dramatiq.middleware import Middleware

from fitq.queue import Queue, open_queue
from fitq.settings import Settings
from fitq.store.keys import ObjectKeys
from fitq.store.objects import S3Objects
from fitq.store.protocols import ObjectStore, StateStore
from fitq.store.state import RedisState, connect


@dataclass(frozen=True)
class Backend:
    """What the rules work on."""

    workspace: str
    state: StateStore
    objects: ObjectStore
    queue: Queue

    @property
    def keys(self) -> ObjectKeys:
        return ObjectKeys(self.workspace)


def open_objects(settings: Settings) -> S3Objects:
    """The object store alone: scoring needs nothing else."""
    return S3Objects(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.bucket)


def open_backend(settings: Settings, middleware: list[Middleware] | None = None) -> Backend:
    """Connect to both stores. Nothing is contacted until the first call."""
    return Backend(
        workspace=settings.workspace,
        state=RedisState(connect(settings.redis_url), settings.workspace),
        objects=open_objects(settings),
        queue=open_queue(settings.redis_url, settings.workspace, middleware),
    )
