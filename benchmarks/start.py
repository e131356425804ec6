"""How soon does a submitted script run, and how many can be submitted and run per second?

    scripts/bench start [--runs 40] [--repeats 3]

The same script that imports scikit-learn, on an idle platform: its runs start warm (forked) or cold
(afresh). Beside them `python script.py`, and a bare Dramatiq actor as it comes, without a process, a
folder or a record. The order alternates; what is measured ends when the script's first line runs.
"""

from __future__ import annotations

import argparse
import os
import random
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

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from fitq import Experiment, ScriptRunConfig, Workspace
from fitq.local.stack import Stack

SCRIPT = """import sys, time
{imports}
open(sys.argv[1], "w").write(repr(time.time()))
"""
IMPORTS = {"nothing": "", "scikit-learn": "from sklearn.linear_model import LogisticRegression"}
CLIENTS = 8


class Platform:
    """One platform whose runs start in one way."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.ws = Workspace.from_config(str(stack.home.folder / "config.json"))

    def submit(self, imports: str, pool: str, mark: Path):  # type: ignore[no-untyped-def]
        config = ScriptRunConfig(
            source_directory=str(source(self.folder, imports)),
            script="train.py",
            arguments=[str(mark)],
            compute_target=pool,
        )
        return Experiment(self.ws, "bench-start").submit(config)

    def first_line(self, imports: str) -> float:
        """Milliseconds from submit to the script's first line."""
        mark = self.folder / f"mark-{time.monotonic_ns()}"
        began = time.time()
        self.submit(imports, "one", mark).wait_for_completion()
        return (float(mark.read_text()) - began) * 1000

    def submits(self, count: int) -> float:
        """Submits per second by 8 client threads, to a pool without workers."""
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda _: self.submit("nothing", "parked", self.folder), range(count)))
        return count / (time.perf_counter() - began)

    def runs(self, count: int) -> float:
        """Trivial runs per second on 2 workers, from the first submit to the last end."""
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            marks = [self.folder / f"mark-{time.monotonic_ns()}-{n}" for n in range(count)]
            runs = list(clients.map(lambda mark: self.submit("nothing", "two", mark), marks))
        for run in runs:
            run.wait_for_completion()
        return count / (time.perf_counter() - began)


def source(folder: Path, imports: str) -> Path:
    """A folder with the script."""
    path = folder / f"source-{imports}"
    if not path.exists():
        path.mkdir()
        (path / "train.py").write_text(SCRIPT.format(imports=IMPORTS[imports]))
    return path


def plain_python(folder: Path, imports: str) -> float:
    """Milliseconds until the script's first line under `python train.py`."""
    mark = folder / "mark-plain"
    script = source(folder, imports) / "train.py"
    began = time.time()
    subprocess.run([sys.executable, str(script), str(mark)], check=True)
    return (float(mark.read_text()) - began) * 1000


@contextmanager
def bare_actor(redis_url: str) -> Iterator[Callable[[], float]]:
    """Milliseconds from send to the body of a Dramatiq actor, everything at Dramatiq's defaults."""
    broker = RedisBroker(url=redis_url, namespace="bare")  # type: ignore[no-untyped-call]
    reached, at = threading.Event(), [0.0]

    @dramatiq.actor(broker=broker)
    def note() -> None:
        at[0] = time.time()
        reached.set()

    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()

    def measure() -> float:
        time.sleep(random.uniform(0.5, 1.5))  # idle, as a worker mostly is
        reached.clear()
        began = time.time()
        note.send()
        assert reached.wait(10)
        return (at[0] - began) * 1000

    yield measure
    worker.stop()


def measure(runs: int, repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds to the first line, and rates per second, by who."""
    times: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as opened:
        folder = Path(temporary)
        platforms = {}
        for way in ("warm", "cold"):
            environment = {**os.environ, "FITQ_WARM_START": "1" if way == "warm" else "0"}
            pools = {"one": 1, "two": 2, "parked": 0}
            stack = Stack(folder / way, pools=pools, api_port=0, scoring_port=0, environment=environment)
            platforms[way] = Platform(opened.enter_context(stack), folder)
        url = platforms["warm"].stack.settings.redis_url
        bare = opened.enter_context(bare_actor(url))
        for imports in IMPORTS:  # the first of each is for caches, and gives warm parents time
            for platform in platforms.values():
                platform.first_line(imports)
        time.sleep(5)
        contenders: dict[str, Callable[[], float]] = {"bare Dramatiq actor": bare}
        for imports in IMPORTS:
            contenders[f"python, imports {imports}"] = lambda i=imports: plain_python(folder, i)
            for way, platform in platforms.items():
                contenders[f"fitq {way}, imports {imports}"] = lambda p=platform, i=imports: p.first_line(i)
        for n in range(runs):
            for who in list(contenders) if n % 2 else list(reversed(contenders)):
                times.setdefault(who, []).append(contenders[who]())
            print(f"  {n + 1} of {runs}", file=sys.stderr)
        for n in range(repeats):
            for way in ("warm", "cold") if n % 2 else ("cold", "warm"):
                rates.setdefault(f"submits/s, {CLIENTS} clients", []).append(platforms[way].submits(200))
                rates.setdefault(f"trivial runs/s, 2 workers, {way}", []).append(platforms[way].runs(60))
    return times, rates


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    times, rates = measure(given.runs, given.repeats)
    print(f"{given.runs} runs each, {os.cpu_count()} cores\n")
    print("| who | p50 ms | p99 ms | min–max |\n|---|---|---|---|")
    for who, values in times.items():
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        print(f"| {who} | {statistics.median(values):.1f} | {p99:.1f} | {ordered[0]:.1f}–{ordered[-1]:.1f} |")
    print("\n| rate | median | min–max |\n|---|---|---|")
    for who, values in rates.items():
        print(f"| {who} | {statistics.median(values):.1f} | {min(values):.1f}–{max(values):.1f} |")


if __name__ == "__main__":
    main()
