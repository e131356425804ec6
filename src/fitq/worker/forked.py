"""A run's first process as a fork of the warm parent, which is its keeper (see `warm.py`)."""

from __future__ import annotations

from collections.abc import Callable

from fitq.worker.process import RunProcess, Take, ignored


class ForkedProcess(RunProcess):
    """A run that started in milliseconds."""

    def __init__(
        self,
        run_id: str,
        pid: int,
        output: int,
        reports: int,
        *,
        parent: int,
        end_parent: Callable[[], None],
        at_end: Callable[[], None],
    ) -> None:
        """
        Args:
            parent: the warm parent's process id.
            end_parent: for when it reports nothing any more.
            at_end: called once, when no process of the run is left: the parent may fork again.
        """
        super().__init__(run_id, parent, pid, output, reports)
        self._end_parent, self._at_end = end_parent, at_end

    def end_keeper(self) -> None:
        self._end_parent()

    def sweep(self, take: Take = ignored) -> None:
        try:
            super().sweep(take)
        finally:
            self._at_end()
