"""What every handler of the scoring program shares."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable

from starlette.types import ASGIApp

from fitq.environments.opening import open_environments
from fitq.errors import Unavailable
from fitq.pinging import Ping
from fitq.records import EndpointRecord, ModelRecord
from fitq.scorer.client import ModelFile, Scorer
from fitq.scorer.confinement import confinement
from fitq.scorer.scorers import Scorers
from fitq.scoring.batch import Batches, Limits
from fitq.scoring.files import ModelFiles
from fitq.scoring.follow import follow
from fitq.scoring.homes import Homes
from fitq.scoring.journal import Journal
from fitq.scoring.latest import Latest
from fitq.scoring.levels import Levels
from fitq.scoring.measures import Measures
from fitq.scoring.models import Models
from fitq.scoring.peers import Peers
from fitq.scoring.warm import Warming
from fitq.scoring.watch import Current, Watch
from fitq.settings import Settings
from fitq.store.catalog import Catalog
from fitq.store.changes import Changes
from fitq.store.protocols import ObjectStore


class Service:
    """The scorer, the models it has, and the endpoints in front of them."""

    def __init__(
        self, settings: Settings, objects: ObjectStore, peers: Peers, is_stopping: Callable[[], bool]
    ) -> None:
        self.peers = peers
        self.is_stopping = is_stopping  #: told to end; what has begun is still answered
        self.settings = settings
        #: how nearly everybody writes the token, compared without taking it apart
        self.usual_authorization = f"Bearer {settings.token}".encode() if settings.token else b"\0"
        self.objects = objects
        self.catalog = Catalog(objects, settings.workspace)
        self.objects_ping = Ping(lambda: self.objects.ping(self.catalog.keys.format()))
        self.files = ModelFiles(self.catalog, peers.folder, settings.models_disk_bytes, self._loaded)
        self.scorers = Scorers(
            seconds=settings.score_seconds,
            idle_seconds=settings.scorer_idle_seconds,
            memory_bytes=settings.scorer_memory_bytes,
            models_bytes=settings.models_memory_bytes,
            held=self.files.held,
            kept=lambda: self.models.kept,
            confinement=confinement(settings),
            files=self.files.folder,
        )
        self.scorer = self.scorers.own
        self.homes = Homes(self.scorers, open_environments(settings, objects))
        #: address → who answers there and with which parameters of the path; of models that were scored
        self.doors: dict[str, tuple[ASGIApp, dict[str, str]]] = {}
        self.models = Models(self.catalog, self.homes, self.files, self._open_queue, settings.score_waiting)
        self.warming = Warming(self.models, settings.warm_models)
        self.measures = Measures()
        self.measures.beside(Levels(self.models, self.scorers, self.measures.labels))
        self.journal = Journal(self.measures.answered)
        self.endpoints: Current[str, EndpointRecord] = Current(self._endpoint)
        self.secrets: Watch[str, bytes] = Watch(self._secret)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve inside; afterwards no process of ours is left."""
        async with self.scorers.running():
            changes = Changes(self.objects, self.catalog.keys)
            following = asyncio.create_task(follow(self.models.watch, changes))
            warming = asyncio.create_task(self.warming.run())
            gc.collect()
            gc.freeze()  # what was imported stays; looking through it again and again would be the p99
            try:
                yield
            finally:
                following.cancel()
                warming.cancel()
                self.journal.tell()
        await self.homes.close()

    def latest(self, record: ModelRecord) -> Latest:
        """How long the latest answers of a model's version took."""
        self.journal.tell()
        return self.measures.latest(record.name, record.version)

    def _open_queue(self, scorer: Scorer, model: ModelFile) -> Batches:
        limits = Limits(self.settings.score_waiting, self.settings.score_seconds)
        return Batches(scorer, model, limits, self.measures.called)

    def _loaded(self) -> set[str]:
        """`name:version` of the models that are in the memory of a scorer."""
        return {key for scorer in self.scorers.all.values() for key in scorer.loaded_bytes}

    async def _endpoint(self, name: str) -> EndpointRecord:
        return await asyncio.to_thread(self.catalog.endpoint, name)

    async def _secret(self, _: str) -> bytes:
        secret = await asyncio.to_thread(self.catalog.endpoint_secret)
        if secret is None:
            raise Unavailable("The keys of endpoints have not been made yet.")
        return secret
