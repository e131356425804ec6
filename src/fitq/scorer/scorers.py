"""One scorer child per environment: the program's own, and one for each other that models were made in.

A model with an entry script has a child for itself, because the script is the master of its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Set
from pathlib import Path

from fitq.scorer import process
from fitq.scorer.client import Holding, Scorer, already_here
from fitq.scorer.confinement import NOT_CONFINED, Confinement

#: The program's own environment.
OWN = ""
_LOOK_SECONDS = 1.0


class Scorers:
    """Starts a child when a model of its environment is asked for, and ends it when none is for long."""

    def __init__(
        self,
        *,
        seconds: float = 60.0,
        idle_seconds: float = 900.0,
        memory_bytes: int = 0,
        models_bytes: int = 2_000_000_000,
        held: Holding = already_here,
        kept: Callable[[], Set[str]] = frozenset,
        confinement: Confinement = NOT_CONFINED,
        files: Path | None = None,
    ) -> None:
        """
        Args:
            seconds: longest one prediction may take.
            idle_seconds: a model that nobody asked for so long is unloaded, and a child without any other is
                ended; the program's own stays.
            memory_bytes: most of its own memory that a child may have; 0 for any amount.
            models_bytes: what the models loaded in a child may take of it, before some are unloaded.
            held: while a model is being loaded, its files are there.
            kept: models that are not to be unloaded because nobody asks.
            confinement: of every child.
            files: the folder of model files. A child of many models sees all of it, a script's only its own.
        """
        self._seconds, self._idle, self._memory = seconds, idle_seconds, memory_bytes
        self._models, self._held, self._kept = models_bytes, held, kept
        self._confinement = confinement if files is None else confinement.hiding(files)
        self._files = [] if files is None else [files]
        self.own = self._scorer(sys.executable, process.MODELS)
        self._others: dict[str, Scorer] = {}

    def of(self, environment: str, interpreter: Path, entry: str = "") -> Scorer:
        """The scorer of an environment; `interpreter` runs it.

        Args:
            entry: the model whose entry script has this child for itself; empty: all models by themselves.
        """
        key = f"{environment} {entry}".strip()
        if key not in self._others:
            program = process.ENTRY if entry else process.MODELS
            self._others[key] = self._scorer(str(interpreter), program)
        return self._others[key]

    def _scorer(self, interpreter: str, program: Path) -> Scorer:
        return Scorer(
            seconds=self._seconds,
            interpreter=interpreter,
            memory_bytes=self._memory,
            models_bytes=self._models,
            program=program,
            held=self._held,
            confinement=self._confinement,
            reads=[] if program == process.ENTRY else self._files,
        )

    @property
    def all(self) -> dict[str, Scorer]:
        """By environment, and model where it has an entry script; those that were asked for."""
        return {OWN: self.own, **self._others}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The program's own is started at once; afterwards none is left."""
        await self.own.start()
        resting = asyncio.create_task(self._rest())
        try:
            yield
        finally:
            resting.cancel()
            for scorer in self.all.values():
                await scorer.stop()

    async def _rest(self) -> None:
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._idle))
            kept = self._kept()
            for scorer in self.all.values():
                is_bored = scorer.idle_seconds > self._idle and not kept & scorer.loaded_bytes.keys()
                if is_bored and scorer is not self.own:
                    scorer.rest()
                else:
                    scorer.unload_idle(self._idle, kept)
