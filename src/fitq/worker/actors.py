"""The actors of a pool's worker: one per training function, and one that runs submitted folders."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import dramatiq
import msgspec

from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.records import FunctionRecord, RunRecord
from fitq.worker.functions_folder import FunctionsFolder
from fitq.worker.published import PublishedFunctions

#: The actor that runs submitted folders. Every pool has it.
RUN_SCRIPT = FunctionRecord(
    name="run_script", pool="*", description="Runs a script or command in a submitted folder."
)


class Actors:
    """Declares an actor for each function of the folder and of published code, as they come."""

    def __init__(
        self,
        backend: Backend,
        pool: str,
        folder: FunctionsFolder,
        published: PublishedFunctions,
        execute: Callable[[str], None],
    ) -> None:
        """`execute` is the body of every actor: the message carries only the run's id."""
        self._backend, self._pool = backend, pool
        self._folder, self._published = folder, published
        self._execute = execute
        self._declaring = threading.Lock()
        backend.queue.when_unknown(self._declare_for)

    @property
    def functions(self) -> dict[str, FunctionRecord]:
        """What this pool can run by name; published code comes before the folder's."""
        return {**self._folder.functions, **self._published.functions}

    @property
    def known(self) -> list[FunctionRecord]:
        """What the pool is to be told that it can run."""
        return [*self.functions.values(), msgspec.structs.replace(RUN_SCRIPT, pool=self._pool)]

    def function_of(self, run: RunRecord) -> FunctionRecord | None:
        """The function that a run calls, in the version that the run carries."""
        if run.function and run.snapshot:
            return self._published.of_run(run.function, run.snapshot, run.environment)
        return self._folder.functions.get(run.function or "")

    def load(self, *, wait: bool = False) -> bool:
        """Declare an actor for each function that is new; whether anything changed.

        Args:
            wait: for published code to be listed, instead of taking it over later.

        Raises:
            Unavailable: Redis does not answer.
        """
        changed = [self._folder.refresh(), self._published.refresh(wait=wait)]
        self._declare_all()
        return any(changed)

    def load_folder(self) -> None:
        """Declare those that are there without Redis, whose absence stops no program from starting."""
        self._folder.refresh()
        self._declare_all()

    def _declare_all(self) -> None:
        for name in (RUN_SCRIPT.name, *self.functions):
            self._declare(name)

    def _declare(self, name: str) -> None:
        broker = self._backend.queue.broker
        with self._declaring:
            if name not in broker.get_declared_actors():
                dramatiq.actor(actor_name=name, queue_name=self._pool, broker=broker)(self._execute)

    def _declare_for(self, name: str, run_id: str) -> None:
        """A run that carries its code needs nothing that this worker has to know before: another worker was
        quicker to take over what was published, or it was withdrawn since."""
        with contextlib.suppress(Unavailable):
            run = self._backend.state.get_run(run_id)
            if run is not None and run.function == name and run.snapshot:
                self._declare(name)


__all__ = ["RUN_SCRIPT", "Actors"]
