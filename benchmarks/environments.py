"""How soon is an environment there, how soon does the second run in it start, and what does it cost that
models are scored in a process of their environment?

    scripts/bench environments [--repeats 3] [--runs 30] [--hops 10]

The same two packages three ways, in alternating order: fitq with nothing kept; fitq on a second worker of a
machine that has the packages (the environment is resolved already, and built from its exact list); and
`python -m venv` with `pip install`, nothing kept. Then runs of a script that imports scikit-learn, on one
idle platform, in the environment and in the worker's own Python. Then the scoring program beside itself
without its scorer child (models loaded into the web process), by wrk, in alternating order: milliseconds with
one client, requests per second with 32. Both have one core, which is where a second process gains nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import scoring

from fitq import Environment, Experiment, ScriptRunConfig, Workspace
from fitq.environments.builder import Environments
from fitq.environments.reading import read_spec
from fitq.local.stack import Stack
from fitq.logs import configure
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects

PACKAGES = ["numpy==1.23.5", "scikit-learn==1.2.2"]
SCRIPT = """import time
from sklearn.linear_model import LogisticRegression
at = time.time()
from azureml.core.run import Run
Run.get_context().log("at", at)
"""


class Builds:
    """The three ways, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._shared = folder / "shared"
        self._kept = MemoryObjects()

    def fitq_cold(self) -> float:
        """Nothing is known or kept."""
        return self._build(self._fresh(), MemoryObjects())

    def fitq_second_worker(self) -> float:
        """Another worker's folder beside the same packages; what the hash holds is known."""
        if not self._shared.exists():
            self._build(self._shared, self._kept)
        worker = self._fresh()
        worker.mkdir()
        (worker / "packages").symlink_to(self._shared / "packages")
        return self._build(worker, self._kept)

    def _build(self, folder: Path, objects: MemoryObjects) -> float:
        environments = Environments(folder, objects, ObjectKeys("bench"))
        spec = read_spec({"pip": PACKAGES, "python": f"{sys.version_info[0]}.{sys.version_info[1]}"})
        began = time.perf_counter()
        environments.prepare(spec, environments.choose(spec)).close()
        return time.perf_counter() - began

    def pip_cold(self) -> float:
        """As the documentation of Python tells it, on a fresh machine."""
        place, cache = self._fresh(), self._fresh()
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        install = [str(place / "bin" / "pip"), "--cache-dir", str(cache), "install", "-q", *PACKAGES]
        subprocess.run(install, check=True, env=_plain())
        seconds = time.perf_counter() - began
        shutil.rmtree(place)
        return seconds

    def _fresh(self) -> Path:
        self._count += 1
        return self._folder / f"place-{self._count}"


def _plain() -> dict[str, str]:
    """The environment without what this machine has set for pip, but for certificates and index."""
    kept = ("PIP_CERT", "PIP_INDEX_URL")
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") or k in kept}
    return {**plain, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def builds(repeats: int, folder: Path) -> dict[str, list[float]]:
    """Seconds until the environment is there, by way."""
    made = Builds(folder)
    ways: dict[str, Callable[[], float]] = {
        "fitq, nothing kept": made.fitq_cold,
        "fitq, second worker": made.fitq_second_worker,
        "venv + pip, nothing kept": made.pip_cold,
    }
    seconds: dict[str, list[float]] = {}
    for n in range(repeats):
        for way in list(ways) if n % 2 else list(reversed(ways)):
            seconds.setdefault(way, []).append(ways[way]())
        print(f"  builds {n + 1} of {repeats}", file=sys.stderr)
    return seconds


def starts(runs: int, folder: Path) -> dict[str, list[float]]:
    """Milliseconds from submit to the script's first line after its imports, by where it runs."""
    (folder / "source").mkdir()
    (folder / "source" / "train.py").write_text(SCRIPT)
    milliseconds: dict[str, list[float]] = {}
    with Stack(folder / ".fitq", api_port=0, scoring_port=0) as stack:
        ws = Workspace.from_config(str(stack.home.folder / "config.json"))
        mine = Environment("bench")
        mine._form = {"pip": PACKAGES}
        ways = {"the environment": mine, "the worker's own": None}

        def first_line(environment: Environment | None) -> float:
            config = ScriptRunConfig(
                source_directory=str(folder / "source"), script="train.py", environment=environment
            )
            began = time.time()
            run = Experiment(ws, "bench").submit(config)
            run.wait_for_completion()
            return (run.get_metrics()["at"] - began) * 1000

        for environment in ways.values():
            print(f"  first run {first_line(environment):.0f} ms", file=sys.stderr)
        time.sleep(15)  # the warm parents import what they import
        for n in range(runs):
            for way in list(ways) if n % 2 else list(reversed(ways)):
                milliseconds.setdefault(way, []).append(first_line(ways[way]))
        print(f"  {runs} runs each", file=sys.stderr)
    return milliseconds


HOP_CASES = (
    scoring.Case("iris-logistic", 1, 1),
    scoring.Case("iris-logistic", 1, 32),
    scoring.Case("digits-forest-100", 1, 32),
)


def hops(repeats: int, folder: Path) -> dict[tuple[scoring.Case, str], list[scoring.Figure]]:
    """(case, where models are) → one figure per repeat."""
    known, given = scoring.train(folder), argparse.Namespace(seconds=2, realtime=False, peers="")
    ports = {who: scoring.free_port() for who in ("fitq", "in-process")}
    running = [scoring.start(w, ports[w], folder, folder / f"{w}.log", given) for w in ports]
    figures: dict[tuple[scoring.Case, str], list[scoring.Figure]] = {}
    try:
        for case in HOP_CASES:
            asked = scoring.request("fitq", case, known[case.model][: case.rows])
            answers = [scoring.wait_until_it_scores(port, asked) for port in ports.values()]
            assert answers[0] == answers[1], "they differ"
            for n in range(-1, repeats):  # the first warms both
                for who in list(ports) if n % 2 else list(reversed(ports)):
                    figure = scoring.load(ports[who], case, asked, folder, given)
                    if n >= 0:
                        figures.setdefault((case, who), []).append(figure)
            print(f"  {case}: {repeats} repeats", file=sys.stderr)
    finally:
        scoring.stop(running)
    return figures


def print_hops(figures: dict[tuple[scoring.Case, str], list[scoring.Figure]]) -> None:
    """Each case with what the hop adds, repeat by repeat."""
    print("\n| scoring | added p50 ms | min–max | × requests/s of predicting in process | min–max |")
    print("|---|---|---|---|---|")
    for case in HOP_CASES:
        pairs = list(zip(figures[case, "fitq"], figures[case, "in-process"], strict=True))
        added = [hop.p50_ms - own.p50_ms for hop, own in pairs]
        times = [hop.per_second / own.per_second for hop, own in pairs]
        print(
            f"| {case} | {statistics.median(added):.3f} | {min(added):.3f}–{max(added):.3f} "
            f"| {statistics.median(times):.2f} | {min(times):.2f}–{max(times):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--hops", type=int, default=10, help="series of 2 s of each kind of scoring")
    given = parser.parse_args()
    configure("bench", level="warning")
    if given.hops and shutil.which("wrk") is None:
        sys.exit("The series of scoring need wrk: apt-get install wrk; without them: --hops 0")
    with tempfile.TemporaryDirectory() as temporary:
        seconds = builds(given.repeats, Path(temporary))
        milliseconds = starts(given.runs, Path(temporary))
        figures = hops(given.hops, Path(temporary)) if given.hops else None
    cold = statistics.median(seconds["venv + pip, nothing kept"])
    print(f"{' and '.join(PACKAGES)}, {given.repeats} builds each, {os.cpu_count()} cores\n")
    print("| way | median s | min–max | times faster than venv + pip, nothing kept |\n|---|---|---|---|")
    for way, values in seconds.items():
        median = statistics.median(values)
        print(f"| {way} | {median:.2f} | {min(values):.2f}–{max(values):.2f} | {cold / median:.1f} |")
    print("\n| second and later runs in | p50 ms | min–max |\n|---|---|---|")
    for way, values in milliseconds.items():
        print(f"| {way} | {statistics.median(values):.1f} | {min(values):.1f}–{max(values):.1f} |")
    if figures is not None:
        print_hops(figures)


if __name__ == "__main__":
    main()
