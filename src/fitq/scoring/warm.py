"""Models that are loaded before a process says that it is ready, and stay in use without a request."""

from __future__ import annotations

import asyncio

from fitq.errors import FitqError, Unavailable
from fitq.logs import get_logger
from fitq.names import check_name
from fitq.scoring.models import Models, checked_version
from fitq.scoring.served import ServedModel

log = get_logger(__name__)
_PAUSE_SECONDS = 1.0
WAITING, LOADED = "waiting", "loaded"


def wanted(text: str) -> list[tuple[str, str]]:
    """(name, version or alias) of each in a list such as `iris,churn:champion`; `latest` where none is given.

    Raises:
        InvalidRequest: a name or an alias cannot be one.
    """
    pairs = [item.strip().partition(":") for item in text.split(",") if item.strip()]
    return [(check_name("model", name), checked_version(version or "latest")) for name, _, version in pairs]


class Warming:
    """Loads the models of a list, one after another."""

    def __init__(self, models: Models, text: str) -> None:
        self._models, self._wanted = models, wanted(text)
        #: model → `waiting`, `loaded`, or why it does not answer: that keeps no other from being loaded
        self.states = {f"{name}:{version}": WAITING for name, version in self._wanted}

    @property
    def is_over(self) -> bool:
        """Whether each was loaded or cannot be."""
        return WAITING not in self.states.values()

    async def run(self) -> None:
        """Load them all. While the object store is away, wait for it."""
        for name, version in self._wanted:
            key = f"{name}:{version}"
            self._models.watch.keep((name, version))
            self.states[key] = await self._state(name, version)
            log.info("model_warmed", model=key, state=self.states[key])

    async def _state(self, name: str, version: str) -> str:
        while True:
            try:
                served, _ = await self._models.find(name, version)
                served.check()
                await _ask_once(served)
                return LOADED
            except Unavailable as exc:
                log.warning("warming_waits", model=name, error=exc.message)
                await asyncio.sleep(_PAUSE_SECONDS)
            except FitqError as exc:
                return exc.message


async def _ask_once(served: ServedModel) -> None:
    """Its first answer takes longer than others: what is quick for it is found out with that."""
    record = served.record
    if record.input_schema is not None and record.input_schema.example:
        rows = served.schema.check(record.input_schema.example)
        await served.calls(record.default_method).predict(rows)
