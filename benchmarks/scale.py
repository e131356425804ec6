"""What does one more worker, one more run, one more record cost the two stores?

    scripts/bench scale [--workers 2000] [--records 100000] [--runs 2000] [--seconds 10]

Three series on one Valkey and one SeaweedFS. *Records*: runs that ended are added to Redis, and what
people and the scheduler ask is timed at each power of ten. *Workers*: more and more of them report, with
nothing to do. *Runs*: submitted, taken and ended by simulated workers with every call of real ones, but
without a script. Slopes are what counts; docs/explanation/scale.md says what follows from them.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import scale_lab.records as records
import scale_lab.workers as workers
from scale_lab.meters import Counted, Meters

from fitq import kept_snapshots, restoring, runs, snapshots, submission
from fitq.backend import Backend, open_backend
from fitq.local.objects import EmbeddedObjects
from fitq.local.redis import EmbeddedRedis
from fitq.logs import configure
from fitq.records import RunRecord, RunRequest
from fitq.settings import Settings

_MIB = 1 << 20


@contextmanager
def stores() -> Iterator[tuple[Settings, Meters]]:
    """Both servers, empty."""
    with tempfile.TemporaryDirectory() as folder:
        objects = EmbeddedObjects(Path(folder, "objects"), "fitq", "secret")
        with EmbeddedRedis(Path(folder, "redis")) as redis_server, objects:
            settings = Settings(
                redis_url=redis_server.url, s3_url=objects.url, s3_access_key="fitq", s3_secret_key="secret"
            )
            open_backend(settings).objects.ensure_bucket()  # type: ignore[attr-defined]
            yield settings, Meters(redis_server, objects)


def snapshot(backend: Backend, folder: Path) -> str:
    """A folder with one script, in the object store."""
    (folder / "train.py").write_text("print('trained')\n")
    data = snapshots.pack(folder).data
    return kept_snapshots.keep_snapshot(backend, io.BytesIO(data), max_bytes=_MIB, max_files=10)


def submit(backend: Backend, sha256: str, pool: str) -> RunRecord:
    request = RunRequest(experiment="scale", snapshot=sha256, script="train.py", pool=pool)
    return submission.submit(backend, request)


def measure_runs(settings: Settings, meters: Meters, count: int) -> RunRecord:
    """Print what a run costs from its submit to its end; one that ended."""
    opened = open_backend(settings)
    counted = Counted(opened.objects)
    backend = dataclasses.replace(opened, objects=counted)
    with tempfile.TemporaryDirectory() as folder:
        sha256 = snapshot(backend, Path(folder))
    counted.calls.clear()
    before = meters.read()
    ids = [submit(backend, sha256, "busy").id for _ in range(count)]
    between = meters.read()
    workers.execute_all(backend, 64, "busy")
    ended = meters.read()
    done = runs.find(backend, ids[-1])
    assert done.status == "Completed", done.status
    print(f"\n## Runs ({count})\n")
    print("| of a run | Redis commands | bytes to and from Redis | Redis µs | object store µs |")
    print("|---|---|---|---|---|")
    for what, used in (("submit", between.since(before)), ("take, hold, end", ended.since(between))):
        moved = (used.bytes_in + used.bytes_out) / count
        times = [seconds / count * 1e6 for seconds in (used.redis_seconds, used.objects_seconds)]
        print(f"| {what} | {used.commands / count:.1f} | {moved:,.0f} | {times[0]:.0f} | {times[1]:.0f} |")
    calls = ", ".join(f"{name} {n / count:.2f}" for name, n in counted.calls.most_common())
    print(f"\nRequests to the object store per run: {calls}.")
    measure_return(opened, settings, count)
    return done


def measure_return(backend: Backend, settings: Settings, count: int) -> None:
    """Print how long the object store takes to list what runs left, and Redis to be filled from it."""
    began = time.perf_counter()
    folders = len(backend.objects.list_folders(backend.keys.runs()))
    listed = time.perf_counter() - began
    redis.Redis.from_url(settings.redis_url).flushall()
    began = time.perf_counter()
    assert restoring.restore_ended(backend) == count
    restored = time.perf_counter() - began
    print(f"Listing takes {listed / folders * 1e6:.0f} µs for each of {folders:,} runs, ", end="")
    print(f"and filling an emptied Redis {restored / count * 1e3:.2f} ms for each run.")


def measure_workers(settings: Settings, meters: Meters, most: int, seconds: float) -> None:
    """Print what idle workers cost."""
    counts = [n for n in (10, 100, 500, 1000, 2000, 5000, 10_000) if n < most] + [most]
    print("\n## Idle workers\n")
    print(
        "| workers | reports/s | of wanted | commands a report | bytes a report | Redis: one core's share |"
        "\n|---|---|---|---|---|---|"
    )
    for load in workers.idle(settings, meters, counts, seconds):
        used, rate = load.used, load.reports / load.used.at
        moved = (used.bytes_in + used.bytes_out) / load.reports
        print(
            f"| {load.workers:,} | {rate:.0f} | {rate / load.wanted_per_second:.0%} "
            f"| {used.commands / load.reports:.1f} | {moved:,.0f} | {used.redis_seconds / used.at:.1%} |"
        )


def measure_records(settings: Settings, meters: Meters, pattern: RunRecord, most: int) -> None:
    """Print what many records cost."""
    sizes = [n for n in (1000, 10_000, 100_000, 1_000_000) if n < most] + [most]
    print("\n## Records\n")
    for number, row in enumerate(records.grow(open_backend(settings), meters, pattern, sizes)):
        if number == 0:
            print(f"| records | bytes each | {' | '.join(f'{what}, ms' for what in row.milliseconds)} |")
            print("|---|---|" + "---|" * len(row.milliseconds))
        times = " | ".join(f"{ms:.1f}" for ms in row.milliseconds.values())
        print(f"| {row.records:,} | {row.bytes_each:,.0f} | {times} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10, help="for each number of workers")
    given = parser.parse_args()
    configure("bench", level="warning")
    with stores() as (settings, meters):
        pattern = measure_runs(settings, meters, given.runs)
        measure_workers(settings, meters, given.workers, given.seconds)
    with stores() as (settings, meters):
        measure_records(settings, meters, pattern, given.records)
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f} over 5 minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
