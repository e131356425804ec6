"""Where each model is served: in the scorer child of the environment that it was made in."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fitq.environments.builder import EnvironmentFolder, Environments
from fitq.environments.matching import answers_alike, folder_for, own_versions, spec_of
from fitq.errors import (
    EnvironmentFailed,
    EnvironmentPostponed,
    FitqError,
    ModelUnhealthy,
    NotFound,
    Unavailable,
)
from fitq.logs import get_logger
from fitq.records import ModelRecord, to_builtins, to_json
from fitq.scorer.client import Scorer
from fitq.scorer.scorers import OWN, Scorers

log = get_logger(__name__)
#: A request waits so long for an environment that is being built; the next one waits on.
_WAIT_SECONDS = 20.0


class Homes:
    """Decides by the recorded versions, opens environments and holds them while the program runs."""

    def __init__(self, scorers: Scorers, environments: Environments) -> None:
        self._scorers, self._environments = scorers, environments
        self._opening: dict[str, asyncio.Task[EnvironmentFolder | None]] = {}

    async def of(self, record: ModelRecord) -> tuple[str, Scorer]:
        """(hash of its environment, its scorer); the hash is empty for the program's own environment.

        Raises:
            ModelUnhealthy: its environment cannot be had, and nobody approved of another.
            Unavailable: it is being built, or cannot be had now.
        """
        is_alike = not record.versions.packages or answers_alike(record.versions, own_versions())
        if is_alike and not (record.whole and record.environment):
            return self._own(record)
        try:
            folder = await self._folder(record)
        except (EnvironmentFailed, NotFound) as exc:
            if record.tolerated:
                log.warning("model_served_elsewhere", model=record.id, error=exc.message)
                return self._own(record)
            raise homeless(record, exc) from exc
        except EnvironmentPostponed as exc:
            raise Unavailable(exc.message, hint=exc.hint, retry_after=10) from exc
        if folder is None:
            return self._own(record)
        return folder.hash, self._scorers.of(folder.hash, folder.python, record.id if record.entry else "")

    def _own(self, record: ModelRecord) -> tuple[str, Scorer]:
        """The program's own environment; an entry script has a process for itself there too."""
        if record.entry is None:
            return OWN, self._scorers.own
        return OWN, self._scorers.of(OWN, Path(sys.executable), record.id)

    async def _folder(self, record: ModelRecord) -> EnvironmentFolder | None:
        """Opened once and kept; many at once cause one build."""
        key = record.environment or to_json(spec_of(record.versions)).decode()
        task = self._opening.get(key)
        if task is None or (task.done() and task.exception() is not None):
            opening = asyncio.to_thread(
                folder_for,
                self._environments,
                record.versions,
                record.environment,
                whole=record.whole,
            )
            task = self._opening[key] = asyncio.create_task(opening)
        try:
            return await asyncio.wait_for(asyncio.shield(task), _WAIT_SECONDS)
        except TimeoutError as exc:
            message = f"The environment of model {record.id} is being built."
            raise Unavailable(message, hint="Try again in a few seconds.", retry_after=5) from exc

    async def close(self) -> None:
        """Let go of the environments: from now on they may be removed."""
        for task in self._opening.values():
            if not task.done():
                task.cancel()
            elif not task.cancelled() and task.exception() is None and (folder := task.result()) is not None:
                folder.close()


def homeless(record: ModelRecord, exc: FitqError) -> ModelUnhealthy:
    """Why a model does not answer: it is not loaded in versions that it was not made in."""
    own = own_versions()
    return ModelUnhealthy(
        f"Model {record.id} was made with {record.versions.told}; scoring has {own.told}, and the "
        f"environment it was made in cannot be had here: {exc.message}",
        hint=f"{exc.hint} Or register it again from what scoring has; or serve it with what scoring has, "
        f"whatever it then answers: fitq models approve {record.id}".strip(),
        registered=to_builtins(record.versions),
        serving=to_builtins(own),
        difference=None,
    )
