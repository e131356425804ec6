"""Files of attempts that do not count are deleted, some time after their run has ended.

What counts is what the final record in the object store names, whatever Redis says. An unfinished run has no
such record, and nothing of it is touched.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

from fitq.backend import Backend
from fitq.logs import get_logger
from fitq.records import FinalRecord, RunRecord, Unreadable, from_kept_json, now

log = get_logger(__name__)
#: A worker that slept through the end of its run may still be uploading; whoever wonders may still look.
_AFTER = timedelta(days=1)
_RUNS_AT_ONCE = 100
_FILES_AT_ONCE = 1000


class Leftovers:
    """Goes through all runs again and again, some at a time; looks at each ended one once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._offset = 0
        self._clean: set[str] = set()

    def delete_some(self) -> int:
        """Look at the next runs; returns how many files were deleted."""
        some = self._backend.state.list_runs(newest_first=False, offset=self._offset, limit=_RUNS_AT_ONCE)
        over = [run for run in some if run.id not in self._clean and _is_long_over(run)]
        deleted = sum(map(self._clear, over))
        self._offset = self._offset + len(some) if len(some) == _RUNS_AT_ONCE else 0
        return deleted

    def _clear(self, run: RunRecord) -> int:
        files = list(itertools.islice(self._left_by(run), _FILES_AT_ONCE))
        for key in files:
            self._backend.objects.delete(key)
        if files:
            log.info("lost_attempts_deleted", run_id=run.id, files=len(files))
        if len(files) < _FILES_AT_ONCE:
            self._clean.add(run.id)
        return len(files)

    def _left_by(self, run: RunRecord) -> Iterator[str]:
        """Files of every attempt but the one that the final record names."""
        objects, keys = self._backend.objects, self._backend.keys
        there = objects.list_folders(keys.attempts(run.id))
        if set(there) <= {run.attempt_id}:
            return
        kept = objects.get(keys.final(run.id))
        if kept is None:
            return
        try:
            counts = from_kept_json(kept, FinalRecord).run.attempt_id
        except Unreadable:  # nobody knows which files count
            return
        for attempt in there:
            if attempt != counts:
                yield from (found.key for found in objects.list(f"{keys.attempts(run.id)}{attempt}/"))


def _is_long_over(run: RunRecord) -> bool:
    return run.status.is_final and now() - run.timeline[-1].at > _AFTER
