"""How are many models answered beside one, and how soon a model that was never asked for?

    scripts/bench scoring_many [--models 1000] [--hot 500] [--clients 8] [--repeats 3] [--seconds 2]

One scoring program with many small models. First each is asked once, one after another: the time of a cold
model's first answer. Then `wrk` asks for one model again and again, and for all of them at random, in turns;
with `--hot` only so many of them are ever asked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import joblib
import numpy as np
from scoring import Case, Figure, free_port, pin, start, wait_until_it_scores
from scoring import request as asked_for
from scoring_servers import TOKEN
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

ROW = [[5.1, 3.5, 1.4, 0.2]]
LOAD_CORE = 1

_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer %s"
wrk.body = '%s'
local models = %d
function request()
  return wrk.format(nil, string.format("/models/small-%%04d/score", math.random(0, models - 1)))
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"rps": %%f, "p50": %%f, "p99": %%f, "bad": %%d}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def train(folder: Path, count: int) -> None:
    """Models that differ a little."""
    rows, labels = load_iris(return_X_y=True)
    chance = np.random.default_rng(0)
    for i in range(count):
        some = chance.permutation(150)[:120]
        model = LogisticRegression(max_iter=50, tol=0.1).fit(rows[some], labels[some])
        joblib.dump(model, folder / f"small-{i:04d}.joblib")


def first_answers(port: int, count: int) -> list[float]:
    """Milliseconds that each model's first answer took."""
    took = []
    for i in range(1, count):  # the first one was asked for while the program started
        asked = asked_for("fitq", Case(f"small-{i:04d}", 1, 1), ROW)
        sent = urllib.request.Request(f"http://127.0.0.1:{port}{asked.path}", asked.body, asked.headers)
        began = time.perf_counter()
        with urllib.request.urlopen(sent, timeout=60) as answer:
            answer.read()
        took.append((time.perf_counter() - began) * 1000)
    return took


def load(port: int, models: int, folder: Path, given: argparse.Namespace) -> Figure:
    """One series of requests for that many models at random."""
    script = folder / "random.lua"
    script.write_text(_WRK_SCRIPT % (TOKEN, json.dumps({"data": ROW}), models))
    command = ["wrk", "-t1", f"-c{given.clients}", f"-d{given.seconds}s", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"], check=True, capture_output=True,
        preexec_fn=lambda: pin(LOAD_CORE, given.realtime),
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    if told["bad"]:
        raise RuntimeError(f"{told['bad']} requests failed")
    return Figure(told["rps"], told["p50"], told["p99"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in (("models", 1000), ("clients", 8), ("repeats", 3), ("seconds", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--hot", type=int, help="how many of them are asked; all if this is not given")
    parser.add_argument("--realtime", action="store_true", help="keep other programs from both cores")
    given = parser.parse_args()
    given.peers, hot = "", given.hot or given.models
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train(folder, given.models)
        port = free_port()
        process = start("fitq", port, folder, folder / "fitq.log", given)
        try:
            wait_until_it_scores(port, asked_for("fitq", Case("small-0000", 1, 1), ROW))
            cold = sorted(first_answers(port, hot))
            figures: dict[int, list[Figure]] = {1: [], hot: []}
            for repeat in range(given.repeats):
                for count in figures if repeat % 2 == 0 else reversed(figures):
                    figures[count].append(load(port, count, folder, given))
                    print(f"  {count} models: {figures[count][-1]}", file=sys.stderr)
        finally:
            process.terminate()
            process.wait()
    print(
        f"cold, first answer: p50 {cold[len(cold) // 2]:.1f} ms, p99 {cold[int(len(cold) * 0.99)]:.1f} ms\n"
    )
    print("| models asked for at random | requests/s median | p50 ms | p99 ms | p50 × one model |")
    print("|---|---|---|---|---|")
    one = statistics.median(f.p50_ms for f in figures[1])
    for count, seen in figures.items():
        speed, p50, p99 = (statistics.median(f[i] for f in seen) for i in range(3))
        print(f"| {count:,} | {speed:.0f} | {p50:.2f} | {p99:.2f} | {p50 / one:.2f} |")


if __name__ == "__main__":
    main()
