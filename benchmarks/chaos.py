"""Does fitq lose, double or mix up runs while everything around them breaks?

    scripts/bench chaos [--minutes 5] [--seed 1] [--faults-per-minute 20] [--runs-per-minute 40] [--apart]

A whole platform, a mix of runs from stubborn clients, and faults at random from one seed: SIGKILL, SIGTERM
and SIGSTOP of its processes, FLUSHALL, and bad lines to Redis and to the object store. In the end all is
mended, and once it is quiet the API, Redis and the bucket are read and judged. Exit code 1: a promise was
broken. Workers share a disk, as under `fitq up`; with --apart each has one of its own, which is gone with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import redis
from chaos_lab.breaker import Breaker
from chaos_lab.evidence import Evidence, living_processes, read_api, read_bucket, read_redis
from chaos_lab.judge import Violation, judge, nothing_left, times_without_holder
from chaos_lab.load import FINAL, Load
from chaos_lab.proxy import Proxy
from minio import Minio

from fitq import logs
from fitq.local.process import Process
from fitq.local.stack import Stack

_QUIET_SECONDS = 240.0
_TIDY_SECONDS = 90.0  # the scheduler looks for what was left behind every 30 s


class FragileStack(Stack):
    """A platform that reaches both its stores through proxies."""

    apart = False  #: each worker has a disk of its own

    def _child(self, program: str, name: str, pool: str = "default") -> Process:
        shared = self.settings
        if self.apart and program == "worker":
            self.settings = dataclasses.replace(shared, work_dir=str(self._disk_of(name)))
        try:
            return super()._child(program, name, pool)
        finally:
            self.settings = shared

    def _disk_of(self, worker: str) -> Path:
        return Path(self.settings.work_dir) / worker

    def lose_disk(self, worker: str) -> None:
        """A worker was killed and its machine does not come back: nobody finds there what it had in hand."""
        if self.apart:
            shutil.rmtree(self._disk_of(worker), ignore_errors=True)

    def _start_stores(self) -> None:
        super()._start_stores()
        self.to_redis = Proxy(urlsplit(self.settings.redis_url).port or 0, seed=1).__enter__()
        self.to_objects = Proxy(urlsplit(self.settings.s3_url).port or 0, seed=2).__enter__()
        direct = urlsplit(self.settings.redis_url)
        self.direct = self.settings
        self.settings = dataclasses.replace(
            self.settings,
            redis_url=direct._replace(
                netloc=f"{direct.netloc.rpartition(':')[0]}:{self.to_redis.port}"
            ).geturl(),
            s3_url=f"http://127.0.0.1:{self.to_objects.port}",
        )


class Trial:
    """One platform under faults, from start to judgement."""

    def __init__(self, stack: FragileStack, asked: argparse.Namespace) -> None:
        self.asked, self.stack = asked, stack
        self.load = Load(
            stack.settings.url, stack.settings.token, asked.seed, per_minute=asked.runs_per_minute
        )
        self.breaker = Breaker(
            stack,
            stack.to_redis,
            stack.to_objects,
            asked.seed,
            per_minute=asked.faults_per_minute,
            lose_disk=stack.lose_disk,
        )
        self.evidence = Evidence()
        self.over = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """In a thread of its own, while the main one tends the platform."""
        try:
            self.load.start()
            self.breaker.start()
            self._wait(self.asked.minutes * 60)
            self.breaker.stop()
            self.load.stop()
            self._until_quiet()
            self._gather()
        except BaseException as exc:
            self.error = exc
        finally:
            self.over.set()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(min(30.0, max(0.0, deadline - time.monotonic())))
            say(f"{len(self.load.accepted)} runs, {sum(self.breaker.done.values())} faults")

    def _until_quiet(self) -> None:
        say("mended; waiting until every run has ended and nothing is left behind")
        for seconds, is_busy in ((_QUIET_SECONDS, self._unfinished), (_TIDY_SECONDS, self._left)):
            began = time.monotonic()
            while time.monotonic() - began < seconds and is_busy():
                time.sleep(2)
            say(f"{is_busy.__name__}: {is_busy()} after {time.monotonic() - began:.0f} s")

    def _left(self) -> int:
        e = Evidence(runs={run.id: {"status": "Completed"} for run in self.load.accepted})
        with self._redis() as client:
            read_redis(e, client)
        prefix = f"{self.stack.direct.workspace}/open/"
        bucket = self.stack.direct.bucket  # recursive: an emptied folder is listed otherwise
        markers = self._bucket().list_objects(bucket_name=bucket, prefix=prefix, recursive=True)
        return len(list(markers)) + len(nothing_left(e))

    def _unfinished(self) -> int:
        with self._redis() as client:
            listed = [client.get(f"fitq:default:run:{run.id}") for run in self.load.accepted]
        ended = tuple(f'"status":"{status}"'.encode() for status in FINAL)
        return sum(not data or not any(e in data for e in ended) for data in listed)

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.stack.direct.redis_url)

    def _gather(self) -> None:
        e, direct = self.evidence, self.stack.direct
        e.accepted, e.registered, e.answered = self.load.accepted, self.load.registered, self.load.violations
        e.absences, e.redis_losses = self.breaker.absences, self.breaker.redis_losses
        read_api(e, direct.url, direct.token)
        with self._redis() as client:
            read_redis(e, client)
        read_bucket(e, self._bucket(), direct.bucket)
        e.living = living_processes(set(e.runs))

    def _bucket(self) -> Minio:
        direct = self.stack.direct
        return Minio(
            endpoint=urlsplit(direct.s3_url).netloc,
            access_key=direct.s3_access_key,
            secret_key=direct.s3_secret_key,
            secure=False,
            region="us-east-1",
        )


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def table(trial: Trial, violations: list[Violation]) -> str:
    """The one table."""
    done, kinds = trial.breaker.done, [v.kind for v in violations]
    longest = max((s for _, s in times_without_holder(trial.evidence)), default=0.0)
    rows = {
        "runs": len(trial.load.accepted),
        "faults": sum(done.values()),
        "of them kills": sum(n for name, n in done.items() if name.split()[0] in ("kill", "terminate")),
        "requests sent again": trial.load.retries,
        "lost": kinds.count("lost"),
        "doubled": kinds.count("doubled"),
        "stuck": kinds.count("stuck"),
        "mixed": kinds.count("mixed"),
        "other violations": len(kinds) - sum(kinds.count(k) for k in ("lost", "doubled", "stuck", "mixed")),
        "longest time without a holder, s": round(longest, 1),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| what | count |", "|---|---|", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults-per-minute", type=float, default=20.0)
    parser.add_argument("--runs-per-minute", type=float, default=40.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--apart", action="store_true", help="no worker finds what another one left")
    parser.add_argument("--longest", type=float, default=45.0, help="seconds a run may be without a holder")
    parser.add_argument("--keep", type=Path, help="folder for logs and data; a temporary one otherwise")
    asked = parser.parse_args()
    logs.configure("chaos")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        stack = FragileStack(folder / ".fitq", pools={"default": asked.workers}, api_port=0, scoring_port=0)
        stack.apart = asked.apart
        with stack:
            say(f"platform at {stack.settings.url}, seed {asked.seed}")
            trial = Trial(stack, asked)
            threading.Thread(target=trial.run, daemon=True).start()
            stack.watch(trial.over)
        if trial.error is not None:
            raise trial.error
        trial.evidence.living += living_processes(set(trial.evidence.runs))
        violations = judge(trial.evidence, longest_without_holder=asked.longest)
        for line in trial.breaker.told:
            print(line, file=sys.stderr)
        for violation in violations:
            print(f"{violation.kind}: {violation.what}", file=sys.stderr)
        print(table(trial, violations))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
