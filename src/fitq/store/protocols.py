"""The two seams. Every implementation passes the same tests (tests/contracts/).

Both kinds raise `Unavailable` when they cannot be reached, and nothing else for that reason.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from fitq.records import (
    FunctionCode,
    FunctionRecord,
    MetricPoint,
    PoolSettings,
    RunRecord,
    RunStatus,
    WorkerRecord,
)


class Lease(NamedTuple):
    """The right of one attempt to go on."""

    run_id: str
    attempt_id: str


class LeaseEnd(NamedTuple):
    """When a lease ends, by the store's clock, which may jump."""

    ends: float  #: seconds since some beginning; another number after each renewal
    seconds_left: float  #: negative when it has run out


class Restoring(NamedTuple):
    """How far the filling of an emptied store is."""

    runs: int  #: that are back
    of: int


class Writer(NamedTuple):
    """Who adds to live data of a run, and where."""

    claim_id: str  #: of the attempt that it holds
    offset: int  #: where what it adds belongs


class PoolLoad(NamedTuple):
    """How much a pool has to do."""

    queued: int
    running: int  #: held by a worker: preparing, running or finalizing
    oldest_queued_at: float | None  #: creation time of the oldest queued run, in seconds since 1970


class StateStore(Protocol):
    """What changes."""

    def ping(self) -> None: ...

    def add_run(self, run: RunRecord) -> bool:
        """Keep a new run and index it. False: one with that id exists."""

    def get_run(self, run_id: str) -> RunRecord | None: ...

    def replace_run(self, run: RunRecord, *, claimed_as: str = "") -> bool:
        """Compare and set: succeeds only over the same run with `sequence` one less.

        True also when exactly this version is kept already: an answer to it may have been lost.

        Args:
            claimed_as: the claim that the version before must carry, if one is given. A run that was lost
                with Redis counts anew, so that whoever did not read it cannot go by `sequence` alone.
        """

    def list_runs(
        self,
        *,
        experiment: str | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> list[RunRecord]:
        """Runs by creation time, at most `limit`, after skipping `offset`."""

    def run_ids(self) -> set[str]:
        """Of every run that is kept."""

    def count_runs(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int: ...

    def pool_load(self) -> dict[str, PoolLoad]:
        """What waits and what runs, for every pool that ever had a run."""

    def list_experiments(self) -> list[str]:
        """Names, the one with the newest run first."""

    def append_log(self, run_id: str, data: bytes, *, of: Writer | None = None) -> int:
        """Add to the live log; returns its length in bytes afterwards.

        With `of` nothing is added unless that writer holds the run and has read or written the log up to
        its end: the length that comes back says where to go on. So an answer that was lost repeats
        nothing, and a writer whose attempt is over adds nothing.
        """

    def read_log(self, run_id: str, offset: int, limit: int) -> bytes: ...

    def log_size(self, run_id: str) -> int:
        """Length of the live log in bytes."""

    def append_metrics(self, run_id: str, points: list[MetricPoint], *, of: Writer | None = None) -> int:
        """Add to the live metrics; returns how many there are. `of` as for the log, counting points."""

    def read_metrics(self, run_id: str) -> list[MetricPoint]: ...

    def drop_live(self, run_id: str, *, lease: Lease | None = None) -> None:
        """Forget log and metrics of a run, and that lease: it starts anew, or the object store has them."""

    def remember_once(self, digest: str, run_id: str, seconds: int) -> str:
        """The run id first remembered under `digest` (this one, if none was)."""

    def publish_functions(self, pool: str, functions: list[FunctionRecord]) -> None:
        """Replace what a pool knows."""

    def list_functions(self) -> list[FunctionRecord]: ...

    def put_pool(self, name: str, settings: PoolSettings) -> None: ...

    def drop_pool(self, name: str) -> None:
        """Forget a pool's settings."""

    def list_pools(self) -> dict[str, PoolSettings]: ...

    def put_published(self, code: FunctionCode) -> None:
        """Keep what is published under the code's name."""

    def drop_published(self, name: str) -> None: ...

    def list_published(self) -> list[FunctionCode]: ...

    def report_worker(self, worker: WorkerRecord) -> None: ...

    def forget_worker(self, worker_id: str) -> None: ...

    def list_workers(self) -> list[WorkerRecord]:
        """All that ever reported and were not forgotten; `seen_at` tells who lives."""

    def renew_leases(self, leases: list[Lease], seconds: float) -> None:
        """Say that these attempts have a live holder for so long from now, by the store's clock."""

    def list_leases(self) -> dict[Lease, LeaseEnd]: ...

    def drop_lease(self, lease: Lease) -> None: ...

    def lead(self, candidate: str, seconds: float) -> bool:
        """Whether the candidate leads for so long from now: nobody else does, or it already did."""

    def leader(self) -> str | None:
        """Who leads now; None when nobody does."""

    def epoch(self) -> str:
        """A name for the time since the store knew nothing. When it is another, somebody has to fill it."""

    def note_whole(self) -> None:
        """Say that it knows everything again. It forgets that with everything else."""

    def is_whole(self) -> bool: ...

    def note_restoring(self, progress: Restoring | None) -> None:
        """Say how far the filling is; None when it is over."""

    def restoring(self) -> Restoring | None:
        """How far it is, if the store is being filled."""


class Tagged(NamedTuple):
    """An object's bytes, and the tag under which they may be replaced."""

    data: bytes
    tag: str


class ObjectInfo(NamedTuple):
    """One object in a listing."""

    key: str
    size_bytes: int


class ObjectStore(Protocol):
    """What does not change."""

    def ping(self, key: str) -> None:
        """Whether the bucket answers; `key` is one that may be read, whether or not it is there."""

    def ensure_bucket(self) -> None:
        """Make the bucket if it is missing and we may."""

    def put(self, key: str, data: bytes | BinaryIO, size_bytes: int | None = None) -> None:
        """Keep bytes, or `size_bytes` from a binary file."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """One small put that exactly one of many racing writers wins. False: the key is taken.

        An answer may be lost after the store applied the put; a caller that must know whether
        the kept bytes are its own writes a nonce into them and looks.
        """

    def put_if_same(self, key: str, data: bytes, tag: str) -> bool:
        """One small put over exactly the bytes that were read with this tag. False: they are others now."""

    def get(self, key: str) -> bytes | None:
        """The bytes, or None if there is no such key."""

    def get_tagged(self, key: str) -> Tagged | None:
        """The bytes with their tag, for `put_if_same`; None if there is no such key."""

    def open(self, key: str) -> Iterator[bytes] | None:
        """The bytes in pieces, or None if there is no such key."""

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        """At most `length` bytes from `offset`; empty past the end, None if there is no such key."""

    def size(self, key: str) -> int | None:
        """Size in bytes, or None if there is no such key."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects below a prefix, in key order."""

    def list_folders(self, prefix: str) -> builtins.list[str]:
        """Names one level below a prefix that ends in '/', without slashes."""

    def delete(self, key: str) -> None:
        """Gone afterwards, whether or not it was there."""
