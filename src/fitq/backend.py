"""The stores and the queue of one workspace, opened once by a program and handed down."""

from __future__ import annotations

from dataclasses import dataclass, field

from dramatiq.middleware import Middleware

from fitq.names import check_name
from fitq.queue import Queue, open_queue
from fitq.recently import Recently
from fitq.settings import Settings
from fitq.store.catalog import Catalog
from fitq.store.changes import note_change
from fitq.store.keys import ObjectKeys
from fitq.store.objects import S3Objects
from fitq.store.protocols import ObjectStore, StateStore
from fitq.store.redis_client import connect
from fitq.store.state import RedisState


@dataclass(frozen=True)
class Backend:
    """What the rules work on."""

    workspace: str
    state: StateStore
    objects: ObjectStore
    queue: Queue
    #: Snapshot → its list of files, as kept. Snapshots never change, but one may be deleted by hand.
    listed: Recently[bytes] = field(default_factory=lambda: Recently(seconds=60, most=1000))
    #: Snapshot → its bytes, if they are few: runs of one snapshot often follow each other.
    archives: Recently[bytes] = field(default_factory=lambda: Recently(seconds=600, most=32))
    #: Pools that somebody worked in.
    attended: Recently[bool] = field(default_factory=lambda: Recently(seconds=1, most=1000))
    #: Pools that get workers from something else than `fitq up` when runs wait.
    scaled_pools: frozenset[str] = frozenset()
    #: How a pool gets a worker here, with `{pool}` for its name.
    start_worker: str = Settings.start_worker

    @property
    def keys(self) -> ObjectKeys:
        return ObjectKeys(self.workspace)

    @property
    def catalog(self) -> Catalog:
        """Models and endpoints, for reading."""
        return Catalog(self.objects, self.workspace)

    def worker_for(self, pool: str) -> str:
        """What somebody does who wants a worker in a pool."""
        return self.start_worker.replace("{pool}", pool)

    def note_change(self, model: str) -> None:
        """Tell scoring, after the fact, that something of a model is other than before."""
        note_change(self.objects, self.keys, model)


def open_objects(settings: Settings) -> S3Objects:
    """The object store alone: scoring needs nothing else."""
    return S3Objects(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.bucket)


def open_backend(settings: Settings, middleware: list[Middleware] | None = None) -> Backend:
    """Connect to both stores. Nothing is contacted until the first call."""
    return Backend(
        workspace=settings.workspace,
        state=RedisState(connect(settings.redis_url), settings.workspace),
        objects=open_objects(settings),
        queue=open_queue(
            settings.redis_url, settings.workspace, middleware, lease_seconds=settings.lease_seconds
        ),
        scaled_pools=frozenset(
            check_name("pool", name.strip()) for name in settings.scaled_pools.split(",") if name.strip()
        ),
        start_worker=settings.start_worker,
    )
