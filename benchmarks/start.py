"""How soon does a submitted script run, how many can be submitted and run per second, and for how much CPU?

    scripts/bench start [--runs 100] [--repeats 3]

Latency: the same script on an idle platform; its runs start warm (forked) or cold (afresh). Beside them
`python script.py`, and a bare Dramatiq actor as it comes, without a process, a folder or a record. The
order alternates; what is measured ends when the script's first line runs.

Rates: 8 clients that do nothing but write and read HTTP on connections of their own. A submit counts when
it was answered 202; afterwards every one of them is looked for in the object store and in the queue. Beside
trivial runs: `python script.py`, as many at a time as there are slots, and a bare Dramatiq actor.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dramatiq
import psutil
from dramatiq.brokers.redis import RedisBroker

from fitq import Experiment, ScriptRunConfig, Workspace, snapshots
from fitq.backend import open_backend
from fitq.local.stack import Stack

SCRIPT = """import sys, time
{imports}
open(sys.argv[1], "w").write(repr(time.time()))
"""
IMPORTS = {"nothing": "", "scikit-learn": "from sklearn.linear_model import LogisticRegression"}
CLIENTS, SLOTS = 8, 2
POOLS = {"one": 1, "two": SLOTS, "parked": 0}


class Platform:
    """One platform whose runs start in one way."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.ws = Workspace.from_config(str(stack.home.folder / "config.json"))
        self.snapshot = self.ws.client.upload_snapshot(snapshots.pack(source(folder, "nothing")).data)

    def first_line(self, imports: str) -> float:
        """Milliseconds from `Experiment.submit` to the script's first line."""
        mark = self.folder / f"mark-{time.monotonic_ns()}"
        config = ScriptRunConfig(
            source_directory=str(source(self.folder, imports)),
            script="train.py",
            arguments=[str(mark)],
            compute_target="one",
        )
        began = time.time()
        Experiment(self.ws, "bench-start").submit(config).wait_for_completion()
        return (float(mark.read_text()) - began) * 1000

    def submit_many(self, pool: str, count: int) -> list[float]:
        """Seconds that each of so many submits took, by all clients together."""
        asked = {"experiment": "bench-rate", "snapshot": self.snapshot, "script": "train.py", "pool": pool}
        body = json.dumps({**asked, "arguments": [str(self.folder / "mark")]})
        shares = [count // CLIENTS + (n < count % CLIENTS) for n in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            return [s for taken in clients.map(lambda n: self._client(body, n), shares) for s in taken]

    def _client(self, body: str, count: int) -> list[float]:
        address = urlsplit(self.stack.settings.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            headers = {**self._headers, "Idempotency-Key": secrets.token_hex(16)}
            connection.request("POST", "/v1/runs", body, headers)
            answer = connection.getresponse()
            assert answer.status == 202, answer.read()
            answer.read()
            taken.append(time.perf_counter() - began)
        connection.close()
        return taken

    @property
    def _headers(self) -> dict[str, str]:
        token = self.stack.settings.token
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def rest(self, pool: str) -> None:
        """Wait until the pool has nothing to do."""
        while (state := self.ws.client.get_pool(pool)).queued + state.running:
            time.sleep(0.1)

    def parked(self) -> tuple[int, int]:
        """Accepted runs of the pool without workers: in the object store, and in the queue."""
        backend = open_backend(self.stack.settings)
        kept = sum(1 for _ in backend.objects.list(backend.keys.open_runs()))
        return kept, backend.queue.depth("parked")


class Rates:
    """What was measured at full speed, by what and who."""

    def __init__(self) -> None:
        self.per_second: dict[str, list[float]] = {}
        self.milliseconds: dict[str, list[float]] = {}  #: of each answer
        self.cpu: dict[str, list[dict[str, float]]] = {}  #: ms each, by program

    def submits(self, platform: Platform, count: int) -> None:
        what = f"submits/s, {CLIENTS} clients"
        before = platform.parked()
        with self._measured(what, count, platform):
            taken = platform.submit_many("parked", count)
        self.milliseconds.setdefault(what, []).extend(s * 1000 for s in taken)
        kept, queued = platform.parked()
        assert (kept - before[0], queued - before[1]) == (count, count), "202, and not durable"

    def runs(self, platform: Platform, way: str, count: int) -> None:
        with self._measured(f"trivial runs/s, {SLOTS} slots, {way}", count, platform):
            platform.submit_many("two", count)
            platform.rest("two")

    def plain(self, folder: Path, count: int) -> None:
        with self._measured(f"python script.py, {SLOTS} at a time", count), ThreadPoolExecutor(SLOTS) as pool:
            list(pool.map(lambda _: plain_python(folder, "nothing"), range(count)))

    def bare(self, actor: BareActor, count: int) -> None:
        with self._measured(f"bare Dramatiq actor, {SLOTS} threads", count):
            actor.run_many(count)

    @contextmanager
    def _measured(self, what: str, count: int, platform: Platform | None = None) -> Iterator[None]:
        before, began = cpu_seconds(platform), time.perf_counter()
        yield
        self.per_second.setdefault(what, []).append(count / (time.perf_counter() - began))
        after = cpu_seconds(platform)
        each = {name: (after[name] - before.get(name, 0)) / count * 1000 for name in after}
        self.cpu.setdefault(what, []).append(each)


def cpu_seconds(platform: Platform | None) -> dict[str, float]:
    """What each program has used so far, its ended children included."""
    used = {"clients": sum(os.times()[:4])}
    for program in platform.stack.programs if platform else ():
        name = "workers" if program.pool else program.name
        process = psutil.Process(program.process.pid)
        used[name] = used.get(name, 0) + sum(process.cpu_times()[:4])
        for child in process.children():  # the warm parents, with the runs that they forked
            used["runs"] = used.get("runs", 0) + sum(child.cpu_times()[:4])
    return used


def source(folder: Path, imports: str) -> Path:
    """A folder with the script."""
    path = folder / f"source-{imports}"
    if not path.exists():
        path.mkdir()
        (path / "train.py").write_text(SCRIPT.format(imports=IMPORTS[imports]))
    return path


def plain_python(folder: Path, imports: str) -> float:
    """Milliseconds until the script's first line under `python train.py`."""
    mark = folder / f"mark-{time.monotonic_ns()}"
    script = source(folder, imports) / "train.py"
    began = time.time()
    subprocess.run([sys.executable, str(script), str(mark)], check=True)
    return (float(mark.read_text()) - began) * 1000


class BareActor:
    """A Dramatiq actor with everything at Dramatiq's defaults."""

    def __init__(self, redis_url: str) -> None:
        broker = RedisBroker(url=redis_url, namespace="bare")  # type: ignore[no-untyped-call]
        self._done = threading.Semaphore(0)
        self._at = 0.0
        self._note = dramatiq.actor(self._body, actor_name="note", broker=broker)
        self._worker = dramatiq.Worker(broker, worker_threads=SLOTS)

    def _body(self) -> None:
        self._at = time.time()
        self._done.release()

    @contextmanager
    def working(self) -> Iterator[BareActor]:
        self._worker.start()
        yield self
        self._worker.stop()

    def first_line(self) -> float:
        """Milliseconds from send to its body, after a pause: idle, as a worker mostly is."""
        time.sleep(0.5 + secrets.randbelow(1000) / 1000)
        began = time.time()
        self.run_many(1)
        return (self._at - began) * 1000

    def run_many(self, count: int) -> None:
        for _ in range(count):
            self._note.send()
        for _ in range(count):
            assert self._done.acquire(timeout=30)


def latencies(
    platforms: dict[str, Platform], bare: BareActor, folder: Path, runs: int
) -> dict[str, list[float]]:
    """Milliseconds to the first line, by who. What starts afresh takes long, so it is asked less often."""
    often: dict[str, Callable[[], float]] = {}
    seldom: dict[str, Callable[[], float]] = {"bare Dramatiq actor, at its defaults": bare.first_line}
    for imports in IMPORTS:
        for way, platform in platforms.items():
            asked = often if way == "warm" else seldom
            asked[f"fitq {way}, imports {imports}"] = lambda p=platform, i=imports: p.first_line(i)
        seldom[f"python, imports {imports}"] = lambda i=imports: plain_python(folder, i)
    times: dict[str, list[float]] = {}
    for n in range(runs):
        contenders = {**often, **seldom} if n % 5 == 0 else often
        for who in list(contenders) if n % 2 else list(reversed(contenders)):
            times.setdefault(who, []).append(contenders[who]())
        if n % 10 == 9:
            print(f"  {n + 1} of {runs}", file=sys.stderr)
    return times


def measure(runs: int, repeats: int) -> tuple[dict[str, list[float]], Rates]:
    """Everything, on two platforms beside each other, of which one works at a time."""
    rates = Rates()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as opened:
        folder = Path(temporary)
        folder.chmod(0o777)  # scripts may be another user's
        platforms = {}
        for way in ("warm", "cold"):
            environment = {
                **os.environ,
                "FITQ_WARM_START": "1" if way == "warm" else "0",
                "FITQ_RUN_PATHS": str(folder),  # where scripts leave their marks
            }
            stack = Stack(folder / way, pools=POOLS, api_port=0, scoring_port=0, environment=environment)
            platforms[way] = Platform(opened.enter_context(stack), folder)
        bare = opened.enter_context(BareActor(platforms["warm"].stack.settings.redis_url).working())
        for imports in IMPORTS:  # the first of each is for caches, and gives warm parents time
            for platform in platforms.values():
                platform.first_line(imports)
        time.sleep(5)
        times = latencies(platforms, bare, folder, runs)
        for n in range(repeats):
            rates.submits(platforms["warm"], 600)
            for way in ("warm", "cold") if n % 2 else ("cold", "warm"):
                rates.runs(platforms[way], way, 100)
            rates.plain(folder, 60)
            rates.bare(bare, 300)
    return times, rates


def row(who: str, values: list[float]) -> str:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    middle = statistics.median(values)
    return f"| {who} | {len(values)} | {middle:.1f} | {p99:.1f} | {ordered[0]:.1f}–{ordered[-1]:.1f} |"


def show(times: dict[str, list[float]], rates: Rates) -> None:
    print("| who | n | p50 ms | p99 ms | min–max |\n|---|---|---|---|---|")
    for who, values in times.items():
        print(row(who, values))
    print("\n| rate | median | min–max |\n|---|---|---|")
    for what, found in rates.per_second.items():
        print(f"| {what} | {statistics.median(found):.1f} | {min(found):.1f}–{max(found):.1f} |")
    print("\n| answer to | n | p50 ms | p99 ms | min–max |\n|---|---|---|---|---|")
    for what, values in rates.milliseconds.items():
        print(row(what, values))
    print("\n| CPU ms each, median | all | of which |\n|---|---|---|")
    for what, repeats in rates.cpu.items():
        each = {name: statistics.median(r[name] for r in repeats) for name in repeats[0]}
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in each.items() if ms >= 0.05)
        print(f"| {what} | {sum(each.values()):.1f} | {parts} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=100, help="samples of each latency (a fifth of the slow ones)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of each rate")
    given = parser.parse_args()
    times, rates = measure(given.runs, given.repeats)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f} over 5 minutes\n")
    show(times, rates)


if __name__ == "__main__":
    main()
